// hipcc: in PATH, HIP_PATH, ROCM_PATH, /opt/rocm, /opt/rocm-VERSION, and where pip puts AMD's packages.
#include <cstdio>
#include <filesystem>

#include "../error.h"
#include "../process.h"
#include "toolkit.h"

namespace ingot::gpu {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

static constexpr int OLDEST_MAJOR = 6, OLDEST_MINOR = 1;  // upstream's ggml-hip/CMakeLists.txt
static const char * INSTALL = "install ROCm 6.1 or newer with its hipcc and hipBLAS, or name a hipcc with --hipcc";

Strings rocm_folders() {
    Strings folders;
    add_variable(folders, "HIP_PATH", "/bin");
    add_variable(folders, "ROCM_PATH", "/bin");
    folders.push_back("/opt/rocm/bin");
    for (const auto & version : children("/opt", "rocm-")) folders.push_back(version + "/bin");
    for (const auto & packages : site_packages()) {
        for (const char * part : {"/_rocm_sdk_devel/bin", "/_rocm_sdk_core/bin"}) folders.push_back(packages + part);
    }
    return folders;
}

// "6.4.43484" from "HIP version: 6.4.43484-123eb5128".
static std::string hip_version(const std::string & hipcc) {
    const std::string text = output_of({hipcc, "--version"}), before = "HIP version: ";
    const size_t at = text.find(before);
    if (at == std::string::npos) return "";
    const size_t start = at + before.size(), end = text.find_first_not_of("0123456789.", start);
    return text.substr(start, end == std::string::npos ? end : end - start);
}

static bool too_old(const std::string & version) {
    int major = 0, minor = 0;
    std::sscanf(version.c_str(), "%d.%d", &major, &minor);
    return major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR);
}

// Where ROCm is: hipconfig beside hipcc knows; else it is the folder above hipcc's own. /usr/bin/hipcc
// is often a link into /opt.
static std::string installation(const std::string & hipcc) {
    std::error_code missing;
    const fs::path path = fs::canonical(hipcc, missing);
    if (missing) return "";
    const std::string said = output_of({(path.parent_path() / "hipconfig").string(), "--rocmpath"});
    return said.rfind('/', 0) == 0 ? said.substr(0, said.find('\n')) : path.parent_path().parent_path().string();
}

// A distribution's own ROCm is where the loader looks anyway.
static void add_installation(Toolkit & toolkit) {
    const std::string root = installation(toolkit.compiler);
    if (root.empty()) return;
    if (root != "/usr" && root != "/usr/local") {
        for (const char * name : {"/lib", "/lib64"}) if (fs::is_directory(root + name)) toolkit.library_folders.push_back(root + name);
    }
    if (!find_program("nm").empty()) return;
    for (const char * name : {"/llvm/bin", "/lib/llvm/bin"}) {
        if (const std::string found = find_program("llvm-nm", root + name); !found.empty()) toolkit.nm = found;
    }
}

Toolkit find_rocm(const AskedTools & asked, const Strings & architectures, const std::string & folder) {
    const Strings candidates = asked.hipcc.empty() ? find_all("hipcc", rocm_folders()) : Strings{asked.hipcc};
    if (candidates.empty()) {
        throw Failure(EXIT_TOOLCHAIN, "no ROCm compiler: hipcc is not in PATH, HIP_PATH, ROCM_PATH or /opt/rocm, nor installed by pip", INSTALL);
    }
    Strings old, broken;
    for (const auto & hipcc : candidates) {
        Toolkit toolkit;
        toolkit.compiler = hipcc;
        toolkit.version  = hip_version(hipcc);
        add_installation(toolkit);
        Strings command = {hipcc, "-x", "hip", "-std=c++17", "-D__HIP_PLATFORM_AMD__=1"};
        for (const auto & name : architectures) command.push_back("--offload-arch=" + name);
        if (!toolkit.version.empty() && too_old(toolkit.version)) old.push_back(hipcc + " is of " + toolkit.version);
        else if (!toolkit.version.empty() &&
                 compiles(command, "probe.cu",
                          "#include <hip/hip_runtime.h>\n#include <hipblas/hipblas.h>\n__global__ void probe(float * x) { *x = 1.0f; }\n", folder)) {
            return toolkit;
        } else broken.push_back(hipcc);
    }
    if (broken.empty()) throw Failure(EXIT_TOOLCHAIN, "ROCm is too old, the engine needs 6.1: " + list(old), INSTALL);
    throw Failure(EXIT_TOOLCHAIN, "hipcc (" + list(broken) + ") does not compile for " + list(architectures), "see " + folder + "/probe.log");
}

}  // namespace ingot::gpu
