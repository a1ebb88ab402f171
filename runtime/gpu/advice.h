// What to tell about kernels that a model needs and the loaded module does not have.
#pragma once

#include "../bundle.h"
#include "../kernel_set.h"
#include "ggml-backend.h"
#include "load.h"

namespace ingot::gpu {

// A line on stderr for weights, and one for the KV cache: which, what stays on the CPU for it, and the
// command that fixes it. `reg` is what was loaded, nullptr for nothing. Asks the module itself.
void advise(const Bundle & bundle, const Report & report, ggml_backend_reg_t reg, const KernelSet & set);

}  // namespace ingot::gpu
