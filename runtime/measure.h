// How fast a backend multiplies matrices: for comparing two that give the same answers.
#pragma once

#include "ggml-backend.h"

namespace ingot {

struct Speed {
    double prompt = 0;      // seconds for a product with 256 columns
    double generation = 0;  // seconds for a product with one column, one token
};

// Of the backend's first device, with 4096 x 4096 weights of `type`; the best of several runs. Zeros
// when it cannot.
Speed measure(ggml_backend_reg_t reg, ggml_type type);

// Whether `made` is not worth putting in the place of `used`: it could not be measured, or is clearly
// slower, by more than what two runs of the same code differ, at a request of 512 tokens that is
// answered with 128.
inline bool is_worse(const Speed & made, const Speed & used) {
    constexpr double NOISE = 1.25, PROMPT = 512 / 256, ANSWER = 128;
    const auto request = [](const Speed & speed) { return PROMPT * speed.prompt + ANSWER * speed.generation; };
    const auto whole   = [](const Speed & speed) { return speed.prompt > 0 && speed.generation > 0; };
    return whole(used) && (!whole(made) || request(made) > NOISE * request(used));
}

}  // namespace ingot
