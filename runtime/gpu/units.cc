#include "units.h"

namespace ingot::gpu {

// By how a unit's name begins; the first that fits counts. Measured with nvcc 13.0 (native/cuda/NOTES.md).
struct Effort {
    const char * start;
    double       seconds;
};
static const Effort EFFORTS[] = {
    {"mmq-", 26},       {"mmvq", 8},        {"mmvf", 28},   {"mmf-", 12}, {"fattn-mma-", 14},
    {"fattn-tile-", 15}, {"fattn-vec-", 4}, {"argsort", 25}, {"", 3},
};

double compile_seconds(const Unit & unit) {
    for (const auto & effort : EFFORTS) {
        if (unit.name.rfind(effort.start, 0) == 0) return effort.seconds;
    }
    return 0;
}

double compile_seconds(const UnitPlan & plan) {
    double sum = 0;
    for (const auto & unit : plan.units) sum += compile_seconds(unit);
    return sum;
}

static std::string quoted(const std::string & text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string kernels_header(const KernelSet & set, const std::string & backend, const std::string & lists) {
    return "// Made for one kernel set; read by entry.cc.\n#pragma once\n#include <cstdint>\n#include \"ggml.h\"\n#include \"ggml-" + backend +
           ".h\"\n#define INGOT_REGISTRY ggml_backend_" + backend + "_reg\n" + lists + "#define INGOT_KERNELS_TEXT " +
           quoted(to_json(set).dump()) + "\n";
}

}  // namespace ingot::gpu
