#include "units.h"

namespace ingot::gpu {

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
