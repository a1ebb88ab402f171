// Finds, chooses and loads a GPU module at start.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../bundle.h"
#include "../kernel_set.h"
#include "device.h"
#include "options.h"

namespace ingot::gpu {

struct Report {
    Probe                    probe;
    std::vector<std::string> reasons;  // for every module on offer, and for the outcome
    std::string              module;   // "compiled here", "bundled"; "" when the CPU computes
};

// The kernel set of what the command line runs: the carried model's from the manifest, another
// one's by asking a child process. Nothing when there is none or the engine cannot tell.
std::optional<KernelSet> kernel_set_for(const Bundle * bundle, const Args & user);

// Loads the best module into the engine's registry. Tells what the user should know in a line;
// throws Failure(EXIT_GPU) when --require-gpu is not met. To be called once, before the engine runs.
Report load_module(const Bundle * bundle, const Args & user, const Options & options);

// Whether a module in the bundle can be mapped here and answers, GPU or not; asked in a child
// process. Empty when it can, else why not; nothing when the bundle has none.
std::optional<std::string> bundled_problem(const Bundle * bundle);

}  // namespace ingot::gpu
