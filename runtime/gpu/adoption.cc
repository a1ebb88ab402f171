#include "adoption.h"

#include <cstdio>

#include "../error.h"
#include "offers.h"

namespace ingot::gpu {

std::string in_words(const Speed & speed) {
    char text[96];
    std::snprintf(text, sizeof text, "%.2f ms for a token's product and %.2f ms for a prompt's", speed.generation * 1e3, speed.prompt * 1e3);
    return text;
}

static Standing standing(const os::SealedFile * kept, const Bundle & bundle, const KernelSet & set, const Options & options) {
    if (kept) {
        const Verdict verdict = try_module(*kept, set, /*timed*/ true);
        if (verdict.problem.empty()) return {"the module compiled before", verdict.speed};
    }
    Machine machine;
    machine.probes[Kind::cuda] = nvidia_devices();
    if (carries(&bundle, Kind::vulkan)) machine.probes[Kind::vulkan] = vulkan_devices();
    auto candidates = candidates_for(&bundle, std::nullopt, machine, {Kind::cuda, Kind::vulkan}, options);
    std::vector<Offer> offers;
    for (const auto & candidate : candidates) offers.push_back(candidate.offer);
    for (const size_t index : choose(machine, offers).order) {
        std::string why;
        const os::SealedFile * module = open_module(candidates[index], bundle, why);
        const Verdict verdict = module ? try_module(*module, set, /*timed*/ true) : Verdict{why, {}};
        if (verdict.problem.empty()) return {title(offers[index]), verdict.speed};
    }
    return {"the CPU", try_cpu(set)};
}

Adoption examine(const os::SealedFile & made, const os::SealedFile * kept, const Bundle & bundle, const KernelSet & set,
                 const Options & options) {
    const Verdict verdict = try_module(made, set, /*timed*/ true);
    if (!verdict.problem.empty()) {
        throw Failure(EXIT_GPU, "the module that was compiled does not pass its test on this GPU: " + verdict.problem, "it is not used");
    }
    const Standing used = standing(kept, bundle, set, options);
    if (is_worse(verdict.speed, used.speed)) {
        throw Failure(EXIT_GPU, "the module that was compiled is slower than " + used.name + ": " + in_words(verdict.speed) +
                                    ", against " + in_words(used.speed), "it is not used");
    }
    return {verdict.speed, used};
}

}  // namespace ingot::gpu
