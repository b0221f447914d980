// NOT COMPILED, and never run: NvInfer.h is in no package that the tests can install. Written by
// the documentation of TensorRT 10; TensorRT for RTX has the same header under the same name.
//
// The raw graph from C++, without emodict and without Python: a plan on an NVIDIA GPU.
//
//   emodict-export model.pt --raw --sm 87       (on the device itself, or for one of its kind)
//   CUDA="-I/usr/local/cuda/include -L/usr/local/cuda/lib64 -lcudart"
//   g++ -std=c++17 -O2 with_tensorrt.cpp $CUDA -lnvinfer        (for RTX: -ltensorrt_rtx)
//   ./a.out model.raw.plan seconds.f32          (seconds.hpp says what that is)
//
// The names of the emotions are in model.raw.plan.json.

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <iterator>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "seconds.hpp"

struct Logger : nvinfer1::ILogger {
    void log(Severity severity, const char* said) noexcept override {
        if (severity <= Severity::kWARNING) std::fprintf(stderr, "%s\n", said);
    }
};

static void check(cudaError_t error) {
    if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

static void require(bool done, const std::string& what) {
    if (!done) throw std::runtime_error("TensorRT: " + what + " (it said why above)");
}

// A tensor for one wearer. On the GPU zeros, which is what a state is before the first second.
struct Tensor {
    std::vector<float> host;
    float* device = nullptr;

    size_t bytes() const { return host.size() * sizeof(float); }
};

static std::vector<char> content(const char* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(std::string("cannot open ") + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Tensors {
    std::vector<std::string> inputs;  // in the order in which TensorRT has them
    std::map<std::string, Tensor> named;

    void add(const nvinfer1::ICudaEngine& engine, nvinfer1::IExecutionContext& context,
             const char* name) {
        nvinfer1::Dims shape = engine.getTensorShape(name);
        shape.d[0] = 1;  // the batch
        size_t count = 1;
        for (int axis = 0; axis < shape.nbDims; ++axis) count *= shape.d[axis];
        auto& tensor = named[name];
        tensor.host.resize(count);
        check(cudaMalloc(reinterpret_cast<void**>(&tensor.device), tensor.bytes()));
        check(cudaMemset(tensor.device, 0, tensor.bytes()));
        require(context.setTensorAddress(name, tensor.device), name);
        if (engine.getTensorIOMode(name) != nvinfer1::TensorIOMode::kINPUT) return;
        require(context.setInputShape(name, shape), name);
        inputs.push_back(name);
    }
};

static void run(const char* path, Seconds& seconds) {
    const auto plan = content(path);
    Logger logger;
    std::unique_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(logger));
    require(runtime != nullptr, "it could not be started");
    std::unique_ptr<nvinfer1::ICudaEngine> engine(
        runtime->deserializeCudaEngine(plan.data(), plan.size()));
    require(engine != nullptr, "the plan could not be loaded");
    std::unique_ptr<nvinfer1::IExecutionContext> context(engine->createExecutionContext());
    require(context != nullptr, "a context could not be made");
    cudaStream_t stream;
    check(cudaStreamCreate(&stream));

    Tensors tensors;
    for (int i = 0; i < engine->getNbIOTensors(); ++i)
        tensors.add(*engine, *context, engine->getIOTensorName(i));
    if (!tensors.named.count("valid")) throw std::runtime_error(NOT_RAW);
    auto& shares = tensors.named.at("distribution");
    for (int second = 0; seconds.more(); ++second) {
        for (const auto& name : tensors.inputs) {
            if (is_state(name)) continue;
            auto& sensor = tensors.named.at(name);
            seconds.read(sensor.host.data(), sensor.host.size());
            check(cudaMemcpyAsync(sensor.device, sensor.host.data(), sensor.bytes(),
                                  cudaMemcpyHostToDevice, stream));
        }
        require(context->enqueueV3(stream), "the second could not be computed");
        check(cudaMemcpyAsync(shares.host.data(), shares.device, shares.bytes(),
                              cudaMemcpyDeviceToHost, stream));
        check(cudaStreamSynchronize(stream));
        print_row(second, shares.host.data(), shares.host.size());
        // What came out as next_X goes in as state_X. The two change places on the GPU, and
        // nothing is copied.
        for (const auto& name : tensors.inputs) {
            if (!is_state(name)) continue;
            auto& state = tensors.named.at(name);
            auto& next = tensors.named.at(next_of(name));
            std::swap(state.device, next.device);
            require(context->setTensorAddress(name.c_str(), state.device), name);
            require(context->setTensorAddress(next_of(name).c_str(), next.device), next_of(name));
        }
    }
}

int main(int argc, char** argv) { return main_of(run, argc, argv); }
