// Finds, chooses and loads a GPU module at start.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../bundle.h"
#include "../kernel_set.h"
#include "choose.h"
#include "options.h"

namespace ingot::gpu {

struct Report {
    Machine                  machine;  // what was asked: each only if it could have mattered
    std::vector<std::string> reasons;  // for every module on offer, and for the outcome
    std::string              module;   // "the bundled CUDA module", ...; "" when the CPU computes
};

// The kernel set of what the command line runs: the carried model's from the manifest, another
// one's by asking a child process. Nothing when there is none or the engine cannot tell.
std::optional<KernelSet> kernel_set_for(const Bundle * bundle, const Args & user);

// Loads the best module that passes its test into the engine's registry. Tells what the user should
// know in a line; throws Failure(EXIT_GPU) when --require-gpu is not met. To be called once, before
// the engine runs.
Report load_module(const Bundle * bundle, const Args & user, const Options & options);

}  // namespace ingot::gpu
