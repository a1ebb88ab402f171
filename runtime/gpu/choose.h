// Which GPU module to use: pure, so that every case can be tested without a GPU.
#pragma once

#include <string>
#include <vector>

#include "device.h"

namespace ingot::gpu {

enum class Kind { cuda, vulkan };

// "CUDA", "Vulkan".
std::string title(Kind kind);

// A module on offer.
struct Offer {
    Kind kind = Kind::cuda;
    enum class Source { compiled_here, bundled } source = Source::bundled;
    std::vector<int> cubins;   // CUDA: compute capabilities times ten
    int              ptx = 0;  // CUDA: of the PTX, 0 without
    int              cuda = 0; // CUDA: major version of the toolkit it was made with
};

// "the bundled Vulkan module".
std::string title(const Offer & offer);

struct Machine {
    Probe nvidia, vulkan;
    bool  software = false;  // whether a Vulkan driver that computes on the CPU may be used
};

struct Choice {
    std::vector<size_t>      order;    // offers that can run here, best first; none: the CPU
    std::vector<std::string> reasons;  // one for each offer, then one for the outcome
};

// The order: compiled here, bundled with a cubin for the GPU, bundled with PTX, Vulkan on a GPU,
// Vulkan on the CPU if that may be, the CPU.
Choice choose(const Machine & machine, const std::vector<Offer> & offers);

}  // namespace ingot::gpu
