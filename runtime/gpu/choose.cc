#include "choose.h"

namespace ingot::gpu {

// Higher is better, 0 cannot run. A cubin runs on its own major architecture from its minor on;
// PTX on everything newer.
static int fitness(const Offer & offer, const Probe & probe, std::string & why) {
    const std::string name = offer.source == Offer::Source::compiled_here ? "compiled here" : "bundled";
    if (offer.cuda > probe.driver / 1000) {
        why = name + ": made with CUDA " + std::to_string(offer.cuda) + ", and the driver speaks " + std::to_string(probe.driver / 1000);
        return 0;
    }
    const int capability = probe.devices.front().capability;
    for (int cubin : offer.cubins) {
        if (cubin / 10 == capability / 10 && cubin <= capability) {
            why = name + ": has a cubin for compute capability " + std::to_string(cubin);
            return offer.source == Offer::Source::compiled_here ? 3 : 2;
        }
    }
    if (offer.ptx > 0 && offer.ptx <= capability) {
        why = name + ": has PTX " + std::to_string(offer.ptx) + ", which the driver compiles at the first start";
        return 1;
    }
    why = name + ": nothing in it for compute capability " + std::to_string(capability);
    return 0;
}

Choice choose(const Probe & probe, const std::vector<Offer> & offers) {
    Choice choice;
    if (probe.devices.empty()) {
        choice.reasons.push_back(probe.why);
        return choice;
    }
    int best = 0;
    for (size_t i = 0; i < offers.size(); ++i) {
        std::string why;
        const int fits = fitness(offers[i], probe, why);
        choice.reasons.push_back(why);
        if (fits > best) best = fits, choice.index = (int) i;
    }
    if (choice.index < 0) choice.reasons.push_back("no module for this GPU: the CPU computes");
    return choice;
}

}  // namespace ingot::gpu
