// Where a model's weights lie and where its ops are computed, found out by running it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "args.h"

namespace ingot {

struct Placement {
    struct Weights {
        uint64_t                 bytes = 0;
        std::vector<std::string> names;
    };
    // Names of devices are the engine's: "CPU", "CUDA0", "Vulkan0".
    std::map<std::string, std::map<std::string, uint64_t>> ops;      // device -> op -> times computed
    std::map<std::string, Weights>                         weights;  // device -> tensors
    int tokens = 0;                                                  // that were run
};

// Loads the model that `user` would serve and runs a prompt and one more token. Throws Failure when
// it cannot be loaded or run.
Placement placement_of(const Bundle * bundle, const Args & user);

}  // namespace ingot
