// The raw graph from C++, without emodict and without Python: ONNX Runtime's C API.
//
//   g++ -std=c++17 -O2 with_onnxruntime.cpp -I/usr/include/onnxruntime -lonnxruntime
//   ./a.out model.raw.onnx seconds.f32          (seconds.hpp says what that is)

#include <onnxruntime_c_api.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "seconds.hpp"

// All that is called here was there in ONNX Runtime 1.17, and every later library has it: the
// header may be older or newer than the library.
static const OrtApi* const ort = OrtGetApiBase()->GetApi(17);

static void check(OrtStatus* status) {
    if (!status) return;
    std::string said = ort->GetErrorMessage(status);
    ort->ReleaseStatus(status);
    throw std::runtime_error(said);
}

// An input for one wearer: zeros, which is what a state is before the first second.
static OrtValue* zeros(const OrtSession* session, OrtAllocator* allocator, size_t input) {
    OrtTypeInfo* type;
    const OrtTensorTypeAndShapeInfo* info;
    size_t rank, count = 1;
    check(ort->SessionGetInputTypeInfo(session, input, &type));
    check(ort->CastTypeInfoToTensorInfo(type, &info));
    check(ort->GetDimensionsCount(info, &rank));
    std::vector<int64_t> shape(rank);
    check(ort->GetDimensions(info, shape.data(), rank));
    ort->ReleaseTypeInfo(type);
    shape[0] = 1;  // the batch
    for (int64_t length : shape) count *= static_cast<size_t>(length);
    OrtValue* made;
    void* numbers;
    check(ort->CreateTensorAsOrtValue(allocator, shape.data(), rank,
                                      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &made));
    check(ort->GetTensorMutableData(made, &numbers));
    std::fill_n(static_cast<float*>(numbers), count, 0.0f);
    return made;
}

static float* numbers_of(OrtValue* tensor, size_t& count) {
    OrtTensorTypeAndShapeInfo* info;
    void* numbers;
    check(ort->GetTensorTypeAndShape(tensor, &info));
    check(ort->GetTensorShapeElementCount(info, &count));
    ort->ReleaseTensorTypeAndShapeInfo(info);
    check(ort->GetTensorMutableData(tensor, &numbers));
    return static_cast<float*>(numbers);
}

static OrtSession* opened(const char* model) {
    if (!ort) throw std::runtime_error("this ONNX Runtime is older than 1.17");
    OrtEnv* env;
    OrtSessionOptions* options;
    OrtSession* session;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "emodict", &env));
    check(ort->CreateSessionOptions(&options));
    check(ort->SetIntraOpNumThreads(options, 1));  // a second thread costs more than it gives
    check(ort->CreateSession(env, model, options, &session));
    return session;
}

static void print_emotions(const OrtSession* session, OrtAllocator* allocator) {
    OrtModelMetadata* about;
    char* emotions;
    check(ort->SessionGetModelMetadata(session, &about));
    check(ort->ModelMetadataLookupCustomMetadataMap(about, allocator, "emodict.emotions",
                                                    &emotions));
    std::printf("%s\n", emotions ? emotions : "");
}

// Nothing is released: all of it is needed for as long as the program runs.
static void run(const char* model, Seconds& seconds) {
    OrtSession* session = opened(model);
    OrtAllocator* allocator;
    size_t inputs, outputs, count;
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    check(ort->SessionGetInputCount(session, &inputs));
    check(ort->SessionGetOutputCount(session, &outputs));
    std::vector<char*> in_names(inputs), out_names(outputs);
    std::vector<OrtValue*> in(inputs), out(outputs);
    std::map<std::string, OrtValue**> output;
    for (size_t i = 0; i < inputs; ++i) {
        check(ort->SessionGetInputName(session, i, allocator, &in_names[i]));
        in[i] = zeros(session, allocator, i);
    }
    for (size_t i = 0; i < outputs; ++i) {
        check(ort->SessionGetOutputName(session, i, allocator, &out_names[i]));
        output[out_names[i]] = &out[i];
    }
    if (!output.count("valid")) throw std::runtime_error(NOT_RAW);
    print_emotions(session, allocator);
    for (int second = 0; seconds.more(); ++second) {
        for (size_t i = 0; i < inputs; ++i)
            if (!is_state(in_names[i])) {
                float* samples = numbers_of(in[i], count);
                seconds.read(samples, count);
            }
        // ONNX Runtime makes the outputs in the first second and fills the same ones from then on.
        check(ort->Run(session, nullptr, in_names.data(), in.data(), inputs, out_names.data(),
                       outputs, out.data()));
        // What came out as next_X goes in as state_X: they change places, and nothing is copied.
        for (size_t i = 0; i < inputs; ++i)
            if (is_state(in_names[i])) std::swap(in[i], *output.at(next_of(in_names[i])));
        const float* shares = numbers_of(*output.at("distribution"), count);
        print_row(second, shares, count);
    }
}

int main(int argc, char** argv) { return main_of(run, argc, argv); }
