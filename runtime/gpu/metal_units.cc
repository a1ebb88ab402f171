#include "metal_units.h"

#include <set>
#include <sstream>

namespace ingot::gpu {

// In kernels/dequantize.h, where ggml-common.h is to stand.
static const char * COMMON_HERE = "__embed_ggml-common.h__";
static const std::string KERNELS = "kernels/", ENDING = ".metal";

static bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The name in `#include "name"`, or "".
static std::string included(const std::string & line) {
    const std::string before = "#include \"";
    if (line.compare(0, before.size(), before) != 0) return "";
    return line.substr(before.size(), line.find('"', before.size()) - before.size());
}

static const std::string * find(const Texts & texts, const std::string & name) {
    for (const auto & path : {KERNELS + name, name}) {
        if (const auto found = texts.find(path); found != texts.end()) return &found->second;
    }
    return nullptr;
}

// One kernel file with everything that it includes in it, each once: the system's compiler is
// given text and finds no files. What upstream's CMakeLists.txt makes with cat and sed.
static void inline_includes(const Texts & texts, const std::string & common, const std::string & text, std::set<std::string> & seen,
                            std::string & out) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::string name = included(line);
        const std::string * header = name.empty() ? nullptr : find(texts, name);
        if (header) {
            if (seen.insert(name).second) inline_includes(texts, common, *header, seen, out);
        } else if (line.find(COMMON_HERE) != std::string::npos) {
            out += common;
        } else if (line.find("#pragma once") == std::string::npos) {
            out += line + "\n";
        }
    }
}

// Kernel files that stand for themselves; the others are included by them.
static std::set<std::string> libraries(const Texts & backend) {
    std::set<std::string> found, inside;
    for (const auto & [name, text] : backend) {
        if (name.compare(0, KERNELS.size(), KERNELS) != 0) continue;
        if (ends_with(name, ENDING)) found.insert(name.substr(KERNELS.size()));
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) inside.insert(included(line));
    }
    for (const auto & name : inside) found.erase(name);
    return found;
}

static std::string assembler(const std::string & stem) {
    const std::string start = "_ggml_metallib_" + stem + "_start", end = "_ggml_metallib_" + stem + "_end";
    return ".globl " + start + "\n" + start + ":\n.incbin \"" + stem + ENDING + "\"\n.globl " + end + "\n" + end + ":\n";
}

UnitPlan plan_metal(const KernelSet & set, const Texts & backend, const std::string & common) {
    UnitPlan plan;
    // The longest first: the one with the ops, then the device.
    for (const char * ending : {"cpp", "m"}) {
        for (auto file = backend.rbegin(); file != backend.rend(); ++file) {
            const std::string & name = file->first;
            if (name.find('/') != std::string::npos || !ends_with(name, std::string(".") + ending)) continue;
            const std::string stem = name.substr(0, name.rfind('.'));
            plan.units.push_back({stem + "-" + ending, "#include \"" + name + "\"\n", ending});
        }
    }
    std::string shaders = ".section __DATA,__ggml_metallib\n";
    for (const auto & name : libraries(backend)) {
        std::string text;
        std::set<std::string> seen;
        inline_includes(backend, common, *find(backend, name), seen, text);
        plan.files.push_back({name, text});
        shaders += assembler(name.substr(0, name.size() - ENDING.size()));
    }
    plan.units.push_back({"shaders", shaders, "s"});
    plan.units.push_back({"entry", "#include \"entry.cc\"\n", "cpp"});
    plan.header = kernels_header(set, "metal", "#define INGOT_WHOLE 1\n");
    return plan;
}

}  // namespace ingot::gpu
