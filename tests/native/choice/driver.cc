// Which GPU module is chosen, and whether a new one is worth it, as a program: a question as JSON on
// stdin, the answer on stdout.
#include <iostream>

#include <nlohmann/json.hpp>

#include "gpu/choose.h"
#include "measure.h"

using namespace ingot;
using nlohmann::json;

static gpu::Probe probe_of(const json & from) {
    gpu::Probe probe;
    probe.driver = from.value("driver", 0);
    probe.why    = from.value("why", "");
    for (const auto & item : from.value("devices", json::array())) {
        gpu::Device device;
        device.name       = item.value("name", "");
        device.capability = item.value("capability", 0);
        device.software   = item.value("software", false);
        probe.devices.push_back(device);
    }
    return probe;
}

static gpu::Kind kind_of(const std::string & name) {
    static const std::map<std::string, gpu::Kind> kinds = {
        {"cuda", gpu::Kind::cuda}, {"hip", gpu::Kind::hip}, {"metal", gpu::Kind::metal}, {"vulkan", gpu::Kind::vulkan}};
    return kinds.at(name);
}

static gpu::Offer offer_of(const json & from) {
    gpu::Offer offer;
    offer.kind   = kind_of(from.at("kind"));
    offer.source = from.value("compiled", false) ? gpu::Offer::Source::compiled_here : gpu::Offer::Source::bundled;
    offer.cubins = from.value("cubins", std::vector<int>{});
    offer.ptx    = from.value("ptx", 0);
    offer.cuda   = from.value("cuda", 0);
    return offer;
}

static json answer(const json & question) {
    if (question.contains("made")) {
        const auto speed = [&](const char * name) { return Speed{question[name][0], question[name][1]}; };
        return {{"worse", is_worse(speed("made"), speed("used"))}};
    }
    gpu::Machine machine;
    for (const char * name : {"cuda", "hip", "metal", "vulkan"}) {
        if (question.contains(name)) machine.probes[kind_of(name)] = probe_of(question[name]);
    }
    machine.software = question.value("software", false);
    std::vector<gpu::Offer> offers;
    for (const auto & offer : question.at("offers")) offers.push_back(offer_of(offer));
    const gpu::Choice choice = gpu::choose(machine, offers);
    return {{"order", choice.order}, {"reasons", choice.reasons}};
}

int main() { std::cout << answer(json::parse(std::cin)).dump() << "\n"; }
