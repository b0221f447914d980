// The exported graph from C++, without emodict and without Python: OpenVINO reads model.onnx as it is.
//
// tokens.f32 holds rows of float32, NaN where a modality is not valid; from the tokens of `emodict-session features`:
//   python -c "import numpy; numpy.load('features.npz')['tokens'].astype('f4').tofile('tokens.f32')"

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <openvino/openvino.hpp>
#include <regex>
#include <sstream>

int main(int argc, char** argv) {
    if (argc != 3) return std::cerr << "usage: plain_openvino model.onnx tokens.f32\n", 2;
    ov::Core core;
    auto network = core.read_model(argv[1]);
    // What stands for a modality that is not valid is its mean in training: (tokens, width) as JSON.
    auto text = network->get_rt_info<ov::AnyMap>("framework").at("emodict.missing_value").as<std::string>();
    std::istringstream numbers(std::regex_replace(text, std::regex("[^-+.0-9eE]+"), " "));
    std::vector<float> missing(std::istream_iterator<float>(numbers), {}), tokens;
    std::ifstream file(argv[2], std::ios::binary);
    for (float value; file.read(reinterpret_cast<char*>(&value), sizeof value);)
        tokens.push_back(std::isnan(value) ? missing[tokens.size() % missing.size()] : value);
    auto shape = network->input("tokens").get_partial_shape();
    shape[0] = tokens.size() / missing.size();
    auto model = core.compile_model(network, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = model.create_infer_request();
    request.set_tensor("tokens", ov::Tensor(ov::element::f32, shape.to_shape(), tokens.data()));
    request.infer();
    auto shares = request.get_tensor("distribution");
    for (size_t i = 0; i < shares.get_size(); ++i)
        std::cout << shares.data<float>()[i] << ((i + 1) % shares.get_shape()[1] ? ' ' : '\n');
}
