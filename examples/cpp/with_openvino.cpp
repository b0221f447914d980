// The raw graph from C++, without emodict and without Python: OpenVINO reads it as it is.
//
//   OPENVINO=$(python -c "import openvino, pathlib; print(pathlib.Path(openvino.__file__).parent)")
//   LINK="$OPENVINO/libs/libopenvino.so.* -Wl,-rpath,$OPENVINO/libs"
//   g++ -std=c++17 -O2 with_openvino.cpp -I$OPENVINO/include $LINK
//   ./a.out model.raw.onnx seconds.f32          (seconds.hpp says what that is)

#include <algorithm>
#include <map>
#include <openvino/openvino.hpp>
#include <utility>

#include "seconds.hpp"

using Tensors = std::map<std::string, ov::Tensor>;

static void run(const char* path, Seconds& seconds) {
    ov::Core core;
    auto graph = core.read_model(path);
    const auto about = graph->get_rt_info<ov::AnyMap>("framework");
    std::printf("%s\n", about.at("emodict.emotions").as<std::string>().c_str());
    std::map<std::string, ov::PartialShape> shapes;
    for (const auto& input : graph->inputs()) {
        auto& shape = shapes[input.get_any_name()] = input.get_partial_shape();
        shape[0] = 1;  // the batch: one wearer
    }
    graph->reshape(shapes);
    // Left to itself OpenVINO computes in less than float32 where the processor can.
    auto model = core.compile_model(graph, "CPU", ov::hint::inference_precision(ov::element::f32),
                                    ov::inference_num_threads(1));
    auto request = model.create_infer_request();

    // Zeros before the first second.
    Tensors states, next;
    for (const auto& [name, shape] : shapes)
        if (is_state(name)) {
            states[name] = ov::Tensor(ov::element::f32, shape.to_shape());
            next[name] = ov::Tensor(ov::element::f32, shape.to_shape());
            std::fill_n(states[name].data<float>(), states[name].get_size(), 0.0f);
        }
    if (states.empty()) throw std::runtime_error(NOT_RAW);
    for (int second = 0; seconds.more(); ++second) {
        for (const auto& input : graph->inputs())
            if (!is_state(input.get_any_name())) {
                auto samples = request.get_tensor(input.get_any_name());
                seconds.read(samples.data<float>(), samples.get_size());
            }
        for (const auto& [name, state] : states) {
            request.set_tensor(name, state);
            request.set_tensor(next_of(name), next[name]);
        }
        request.infer();
        // What came out as next_X goes in as state_X: they change places, and nothing is copied.
        std::swap(states, next);
        const auto shares = request.get_tensor("distribution");
        print_row(second, shares.data<float>(), shares.get_size());
    }
}

int main(int argc, char** argv) { return main_of(run, argc, argv); }
