// What to compile of upstream's Metal backend: pure. All of it, for any model: its kernels are text
// that the system compiles when the model runs, each kind of op when it is first met.
#pragma once

#include <map>
#include <string>

#include "../kernel_set.h"
#include "units.h"

namespace ingot::gpu {

// File name in ggml/src/ggml-metal -> its text: "ggml-metal-ops.cpp", "kernels/softmax.metal".
using Texts = std::map<std::string, std::string>;

// `common`: the text of ggml-common.h, which kernels include under another name.
UnitPlan plan_metal(const KernelSet & set, const Texts & backend, const std::string & common);

}  // namespace ingot::gpu
