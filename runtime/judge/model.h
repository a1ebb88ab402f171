// Judges a model and what goes with it as an executable would load them, without reading weights.
#pragma once

#include <string>
#include <vector>

#include "../kernel_set.h"

namespace ingot {

struct ModelFiles {
    std::string              model;
    std::vector<std::string> adapters;
    std::string              projector;  // "" for none
    CacheTypes               cache;
};

struct ModelVerdict {
    KernelSet   kernels;
    std::string template_fault;  // why the chat template cannot be used; "" when it can, or there is none
};

// Throws Failure(EXIT_INPUT) with the engine's reason for the first file that it refuses. As with
// kernel_set_of(), the program ends should the engine abort.
ModelVerdict judge_model(const ModelFiles & files, bool verbose);

}  // namespace ingot
