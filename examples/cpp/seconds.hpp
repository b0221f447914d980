// What the examples in this folder share: raw seconds out of a file, and a row to be printed.
//
//   emodict-export model.pt --raw
//   python examples/raw_seconds.py model.raw.onnx session.h5 seconds.f32
//
// seconds.f32 is one second after the other: all samples of each sensor, little-endian float32, in
// the order of the graph's inputs, NaN where one is missing. On a device the drivers give them.

#pragma once

#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

inline const char* const NOT_RAW = "the model does not begin at raw samples: export it with --raw";

inline bool is_state(const std::string& input) { return input.rfind("state_", 0) == 0; }

// The output that goes back into a state: next_X of state_X.
inline std::string next_of(const std::string& state) { return "next_" + state.substr(6); }

class Seconds {
  public:
    explicit Seconds(const char* path) : file_(path, std::ios::binary) {
        if (!file_) throw std::runtime_error(std::string("cannot open ") + path);
    }
    bool more() { return file_.peek() != std::ifstream::traits_type::eof(); }
    void read(float* samples, size_t count) {
        if (!file_.read(reinterpret_cast<char*>(samples), count * sizeof(float)))
            throw std::runtime_error("the file ends within a second: is it of this model?");
    }

  private:
    std::ifstream file_;
};

// A distribution of NaN says that this second has no answer.
inline void print_row(int second, const float* shares, size_t emotions) {
    std::printf("%5d s", second);
    if (std::isnan(shares[0])) std::printf("  no answer");
    for (size_t i = 0; i < emotions && !std::isnan(shares[0]); ++i)
        std::printf("  %.6f", shares[i]);
    std::printf("\n");
}

inline int main_of(void (*run)(const char*, Seconds&), int argc, char** argv) {
    if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL seconds.f32\n", argv[0]), 2;
    try {
        Seconds seconds(argv[2]);
        run(argv[1], seconds);
        return 0;
    } catch (const std::exception& error) {
        return std::fprintf(stderr, "%s\n", error.what()), 1;
    }
}
