#include "choose.h"

#include <algorithm>

namespace ingot::gpu {

std::string title(Kind kind) {
    switch (kind) {
        case Kind::cuda: return "CUDA";
        case Kind::hip: return "ROCm";
        case Kind::metal: return "Metal";
        case Kind::vulkan: break;
    }
    return "Vulkan";
}

const Probe & Machine::probe(Kind kind) const {
    static const Probe none;
    const auto found = probes.find(kind);
    return found == probes.end() ? none : found->second;
}

bool Machine::has_devices() const {
    return std::any_of(probes.begin(), probes.end(), [](const auto & item) { return !item.second.devices.empty(); });
}

const Device * Machine::compiled_for() const {
    for (const auto & [kind, probe] : probes) {
        if (kind != Kind::vulkan && !probe.devices.empty()) return &probe.devices.front();
    }
    return nullptr;
}

std::string title(const Offer & offer) {
    if (offer.source == Offer::Source::compiled_here) return "the " + title(offer.kind) + " module compiled here";
    return "the bundled " + title(offer.kind) + " module";
}

// Higher is better, 0 cannot run.
enum Fitness { unfit, software, vulkan, ptx, cubin, compiled };

// A cubin runs on its own major architecture from its minor on; PTX on everything newer.
static Fitness fitness_of_cuda(const Offer & offer, const Probe & probe, std::string & why) {
    if (offer.cuda > probe.driver / 1000) {
        why = "made with CUDA " + std::to_string(offer.cuda) + ", and the driver speaks " + std::to_string(probe.driver / 1000);
        return unfit;
    }
    const int capability = probe.devices.front().capability;
    for (int made_for : offer.cubins) {
        if (made_for / 10 == capability / 10 && made_for <= capability) {
            why = "has a cubin for compute capability " + std::to_string(made_for);
            return offer.source == Offer::Source::compiled_here ? compiled : cubin;
        }
    }
    if (offer.ptx > 0 && offer.ptx <= capability) {
        why = "has PTX " + std::to_string(offer.ptx) + ", which the driver compiles at the first start";
        return ptx;
    }
    why = "nothing in it for compute capability " + std::to_string(capability);
    return unfit;
}

static Fitness fitness_of_vulkan(const Machine & machine, std::string & why) {
    const auto & devices = machine.probe(Kind::vulkan).devices;
    const auto   gpu     = std::find_if(devices.begin(), devices.end(), [](const Device & device) { return !device.software; });
    const bool   found   = gpu != devices.end();
    const Device & device = found ? *gpu : devices.front();
    if (!found && !machine.software) {
        why = device.name + " computes on the CPU, which is faster without it; --gpu vulkan uses it all the same";
        return unfit;
    }
    why = "runs on " + device.name;
    return found ? vulkan : software;
}

static Fitness fitness(const Offer & offer, const Machine & machine, std::string & why) {
    const Probe & probe = machine.probe(offer.kind);
    if (probe.devices.empty()) {
        why = probe.why;
        return unfit;
    }
    if (offer.kind == Kind::cuda) return fitness_of_cuda(offer, probe, why);
    if (offer.kind == Kind::vulkan) return fitness_of_vulkan(machine, why);
    // Its key names the GPUs that it was compiled for.
    why = "made for " + probe.devices.front().name;
    return compiled;
}

Choice choose(const Machine & machine, const std::vector<Offer> & offers) {
    Choice choice;
    std::vector<Fitness> fits;
    for (size_t i = 0; i < offers.size(); ++i) {
        std::string why;
        fits.push_back(fitness(offers[i], machine, why));
        choice.reasons.push_back(title(offers[i]) + ": " + why);
        if (fits[i] != unfit) choice.order.push_back(i);
    }
    std::stable_sort(choice.order.begin(), choice.order.end(), [&](size_t a, size_t b) { return fits[a] > fits[b]; });
    if (offers.empty()) {
        for (const auto & [kind, probe] : machine.probes) {
            if (!probe.devices.empty()) choice.reasons.push_back("no module for " + probe.devices.front().name);
            else if (!probe.why.empty()) choice.reasons.push_back(probe.why);
        }
    }
    if (choice.order.empty()) choice.reasons.push_back("the CPU computes");
    return choice;
}

}  // namespace ingot::gpu
