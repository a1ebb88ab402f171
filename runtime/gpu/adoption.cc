#include "adoption.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "../error.h"
#include "offers.h"

namespace ingot::gpu {

static constexpr int ROUNDS = 3;

std::string in_words(const Speed & speed) {
    char text[96];
    std::snprintf(text, sizeof text, "%.2f ms for a token's product and %.2f ms for a prompt's", speed.generation * 1e3, speed.prompt * 1e3);
    return text;
}

// What computes without the new module, and how to time it.
struct Rival {
    std::string            name;
    std::function<Speed()> time;
};

static Rival rival(const os::SealedFile * kept, std::vector<Candidate> & candidates, const Machine & machine, const Bundle & bundle,
                   const KernelSet & set) {
    const auto timed = [&set](const os::SealedFile & module) { return [&] { return try_module(module, set, /*timed*/ true).speed; }; };
    if (kept && try_module(*kept, set, /*timed*/ false).problem.empty()) return {"the module compiled before", timed(*kept)};
    std::vector<Offer> offers;
    for (const auto & candidate : candidates) offers.push_back(candidate.offer);
    for (const size_t index : choose(machine, offers).order) {
        std::string why;
        const os::SealedFile * module = open_module(candidates[index], bundle, why);
        if (module && try_module(*module, set, /*timed*/ false).problem.empty()) return {title(offers[index]), timed(*module)};
    }
    return {"the CPU", [&set] { return try_cpu(set); }};
}

static double best(double a, double b) { return a > 0 && b > 0 ? std::min(a, b) : std::max(a, b); }

static void keep_best(Speed & speed, const Speed & other) {
    speed = {best(speed.prompt, other.prompt), best(speed.generation, other.generation)};
}

Adoption examine(const os::SealedFile & made, const os::SealedFile * kept, const Bundle & bundle, const KernelSet & set,
                 const Options & options) {
    const Verdict verdict = try_module(made, set, /*timed*/ true);
    if (!verdict.problem.empty()) {
        throw Failure(EXIT_GPU, "the module that was compiled does not pass its test on this GPU: " + verdict.problem, "it is not used");
    }
    Machine machine;
    machine.probes[Kind::cuda] = nvidia_devices();
    if (carries(&bundle, Kind::vulkan)) machine.probes[Kind::vulkan] = vulkan_devices();
    auto candidates = candidates_for(&bundle, std::nullopt, machine, {Kind::cuda, Kind::vulkan}, options);
    const Rival other = rival(kept, candidates, machine, bundle, set);

    // Other programs disturb the clock, so a bad result is measured again.
    Adoption adoption{verdict.speed, {other.name, other.time()}};
    for (int round = 1; round < ROUNDS && is_worse(adoption.speed, adoption.used.speed); ++round) {
        keep_best(adoption.speed, try_module(made, set, /*timed*/ true).speed);
        keep_best(adoption.used.speed, other.time());
    }
    if (is_worse(adoption.speed, adoption.used.speed)) {
        throw Failure(EXIT_GPU, "the module that was compiled is slower than " + other.name + ": " + in_words(adoption.speed) +
                                    ", against " + in_words(adoption.used.speed), "it is not used");
    }
    return adoption;
}

}  // namespace ingot::gpu
