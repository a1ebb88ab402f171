// The Mac's own C compiler.
#include "../error.h"
#include "../process.h"
#include "toolkit.h"

namespace ingot::gpu {

static std::string first_line(const std::string & text) { return text.substr(0, text.find('\n')); }

// /usr/bin/cc is there on every Mac; without the Command Line Tools it opens a window that offers
// to install them. xcode-select tells without one.
static std::string mac_compiler() {
    if (first_line(output_of({"xcode-select", "-p"})).empty()) return "";
    const std::string found = first_line(output_of({"xcrun", "-f", "clang"}));
    return found.empty() ? find_program("cc") : found;
}

Toolkit find_metal(const AskedTools & asked, const std::vector<std::string> & architectures, const std::string & folder) {
    Toolkit toolkit;
    toolkit.compiler = asked.host_compiler.empty() ? mac_compiler() : asked.host_compiler;
    if (toolkit.compiler.empty()) {
        throw Failure(EXIT_TOOLCHAIN, "no C compiler: the Command Line Tools are not installed",
                      "install them with 'xcode-select --install', or name a compiler with --host-compiler");
    }
    toolkit.version = first_line(output_of({toolkit.compiler, "--version"}));
    if (toolkit.version.empty() || !compiles({toolkit.compiler}, "probe.m", "#import <Metal/Metal.h>\nid<MTLDevice> probe;\n", folder)) {
        throw Failure(EXIT_TOOLCHAIN, toolkit.compiler + " does not compile for Metal on " + list(architectures), "see " + folder + "/probe.log");
    }
    return toolkit;
}

}  // namespace ingot::gpu
