// Which GPU module to use: pure, so that every case can be tested without a GPU.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "device.h"

namespace ingot::gpu {

// Of a module.
enum class Kind { cuda, hip, metal, vulkan };

// "CUDA", "ROCm", "Metal", "Vulkan".
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
    std::map<Kind, Probe> probes;      // for the kinds that were asked about
    bool software = false;             // whether a Vulkan driver that computes on the CPU may be used

    // None asked: no devices, and no reason.
    const Probe & probe(Kind kind) const;
    bool          has_devices() const;
    // The first that modules can be compiled for here, nullptr without one.
    const Device * compiled_for() const;
};

struct Choice {
    std::vector<size_t>      order;    // offers that can run here, best first; none: the CPU
    std::vector<std::string> reasons;  // one for each offer, then one for the outcome
};

// The order: compiled here (CUDA, ROCm, Metal), bundled with a cubin for the GPU, bundled with PTX,
// Vulkan on a GPU, Vulkan on the CPU if that may be, the CPU.
Choice choose(const Machine & machine, const std::vector<Offer> & offers);

}  // namespace ingot::gpu
