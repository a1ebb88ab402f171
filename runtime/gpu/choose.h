// Which GPU module to use: pure, so that every case can be tested without a GPU.
#pragma once

#include <string>
#include <vector>

#include "device.h"

namespace ingot::gpu {

// A module on offer.
struct Offer {
    enum class Source { compiled_here, bundled } source;
    std::vector<int> cubins;   // compute capabilities times ten
    int              ptx = 0;  // of the PTX, 0 without
    int              cuda = 0; // major version of the toolkit it was made with
};

struct Choice {
    int                      index = -1;  // of the offer, -1: the CPU
    std::vector<std::string> reasons;     // one for each offer, then one for the outcome
};

// The order: compiled here, bundled with a cubin for the GPU, bundled with PTX, the CPU.
Choice choose(const Probe & probe, const std::vector<Offer> & offers);

}  // namespace ingot::gpu
