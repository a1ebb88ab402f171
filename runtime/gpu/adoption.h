// Whether a module that was just compiled is worth using: right answers, and not slower than what
// computes without it.
#pragma once

#include <string>

#include "../bundle.h"
#include "../kernel_set.h"
#include "../sealed_file.h"
#include "options.h"
#include "trial.h"

namespace ingot::gpu {

struct Standing {
    std::string name;   // "the bundled CUDA module", "the CPU"
    Speed       speed;
};

struct Adoption {
    Speed    speed;  // of the new module
    Standing used;   // what it was compared with: the best that computes without it
};

// `kept`: the module that was compiled here before, or nullptr. Throws Failure(EXIT_GPU) when the
// new one is wrong or worse.
Adoption examine(const os::SealedFile & made, const os::SealedFile * kept, const Bundle & bundle, const KernelSet & set,
                 const Options & options);

// "0.02 ms for a token's product and 0.31 ms for a prompt's".
std::string in_words(const Speed & speed);

}  // namespace ingot::gpu
