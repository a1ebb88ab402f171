// Metal: the Mac's own compiler, as the Command Line Tools bring it. Kernels go in as text.
#include <filesystem>
#include <fstream>

#include "apple_device.h"
#include "backend.h"
#include "metal_units.h"

namespace ingot::gpu {

namespace fs = std::filesystem;

static std::string text_of(const fs::path & path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

static UnitPlan plan(const ModuleRequest & request) {
    const fs::path source = fs::path(request.sources) / "ggml/src", backend = source / "ggml-metal";
    Texts texts;
    std::error_code ignored;  // nothing there: nothing to compile, as the linker will say
    for (const auto & entry : fs::recursive_directory_iterator(backend, ignored)) {
        if (entry.is_regular_file()) texts[fs::relative(entry.path(), backend).generic_string()] = text_of(entry.path());
    }
    return plan_metal(request.set, texts, text_of(source / "ggml-common.h"));
}

static Strings flags(const ModuleRequest & request, const std::string & ending) {
    Strings flags;
    for (const auto & name : request.architectures) flags.insert(flags.end(), {"-arch", name});
    if (ending == "s") return flags;
    flags.insert(flags.end(), {"-O3", "-fPIC", "-fvisibility=hidden", "-w", "-DNDEBUG", "-DGGML_METAL_EMBED_LIBRARY", "-DGGML_SHARED",
                               "-DGGML_BACKEND_SHARED"});
    flags.push_back(ending == "m" ? "-std=gnu11" : "-std=c++17");
    return flags;
}

// What the module takes from the program (ggml's core) is looked up when it is loaded.
static Strings link_flags(const ModuleRequest & request) {
    Strings flags = {"-dynamiclib", "-undefined", "dynamic_lookup", "-Wl,-exported_symbols_list,exports", "-Wl,-x"};
    for (const auto & name : request.architectures) flags.insert(flags.end(), {"-arch", name});
    return flags;
}

static Strings libraries(const Toolkit &) {
    return {"-framework", "Foundation", "-framework", "Metal", "-framework", "MetalKit", "-lc++"};
}

static Strings driver(const Toolkit & toolkit) { return {toolkit.compiler}; }

const Backend METAL = {
    "apple", "Metal", "cc", "ggml-metal.dylib", "_ggml_backend_init\n_ingot_module_kernels\n",
    apple_devices, find_metal, plan, driver, driver, flags,
    {"ingot", "ggml/src/ggml-metal", "ggml/src", "ggml/include"},
    link_flags, libraries, false,
};

}  // namespace ingot::gpu
