#include "toolkit.h"

#include <dirent.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../error.h"
#include "../process.h"

namespace ingot::gpu {

using Strings = std::vector<std::string>;

void add_variable(Strings & folders, const char * name, const char * below) {
    const char * value = std::getenv(name);
    if (value && value[0] == '/') folders.push_back(std::string(value) + below);
}

// Entries of `folder` that begin with `prefix`, highest version first as text compares it.
Strings children(const std::string & folder, const std::string & prefix) {
    Strings found;
    if (DIR * list = opendir(folder.c_str())) {
        while (const dirent * entry = readdir(list)) {
            const std::string name = entry->d_name;
            if (name.compare(0, prefix.size(), prefix) == 0) found.push_back(folder + "/" + name);
        }
        closedir(list);
    }
    std::sort(found.rbegin(), found.rend());
    return found;
}

Strings site_packages() {
    Strings libraries, found;
    for (const char * variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) add_variable(libraries, variable, "/lib");
    add_variable(libraries, "HOME", "/.local/lib");
    libraries.push_back("/usr/local/lib");
    for (const auto & library : libraries) {
        for (const auto & python : children(library, "python3")) found.push_back(python + "/site-packages");
    }
    return found;
}

Strings toolkit_folders() {
    Strings folders;
    add_variable(folders, "CUDA_PATH", "/bin");
    add_variable(folders, "CUDA_HOME", "/bin");
    folders.push_back("/opt/cuda/bin");
    folders.push_back("/usr/local/cuda/bin");
    for (const auto & toolkit : children("/usr/local", "cuda-")) folders.push_back(toolkit + "/bin");
    add_variable(folders, "CONDA_PREFIX", "/bin");
    // Where pip puts the toolkit's packages: cu13 and its like, cuda_nvcc before CUDA 13.
    for (const auto & packages : site_packages()) {
        for (const auto & toolkit : children(packages + "/nvidia", "cu1")) folders.push_back(toolkit + "/bin");
        folders.push_back(packages + "/nvidia/cuda_nvcc/bin");
    }
    return folders;
}

Strings find_all(const std::string & program, const Strings & folders) {
    Strings found;
    const auto add = [&](const std::string & path) {
        if (!path.empty() && std::find(found.begin(), found.end(), path) == found.end()) found.push_back(path);
    };
    add(find_program(program));
    for (const auto & folder : folders) add(find_program(program, folder));
    return found;
}

bool compiles(Strings command, const std::string & name, const std::string & source, const std::string & folder) {
    if (FILE * file = std::fopen((folder + "/" + name).c_str(), "w")) {
        std::fputs(source.c_str(), file);
        std::fclose(file);
    }
    command.insert(command.end(), {"-c", name, "-o", "probe.o"});
    return run({command, folder, folder + "/probe.log", folder}).status == 0;
}

static Strings compilers(const std::string & asked) {
    if (!asked.empty()) return {asked};
    Strings found;
    for (const char * variable : {"NVCC_CCBIN", "CXX"}) {
        const char * value = std::getenv(variable);
        if (value && *value) {
            const std::string path = value[0] == '/' ? value : find_program(value);
            if (!path.empty()) found.push_back(path);
        }
    }
    // Newer toolkits take newer compilers; which of them fit, the probe shows.
    for (const char * name : {"g++", "g++-15", "g++-14", "g++-13", "g++-12", "g++-11", "clang++"}) {
        const std::string path = find_program(name);
        if (!path.empty()) found.push_back(path);
    }
    return found;
}

// "13.0.88" from "Cuda compilation tools, release 13.0, V13.0.88".
static std::string nvcc_version(const std::string & nvcc) {
    const std::string text = output_of({nvcc, "--version"});
    const size_t at = text.find(", V");
    if (at == std::string::npos) return "";
    const size_t end = text.find_first_not_of("0123456789.", at + 3);
    return text.substr(at + 3, end - at - 3);
}

static bool compiles_cuda(const Toolkit & toolkit, const std::string & architecture, const std::string & folder) {
    return compiles({toolkit.compiler, "-std=c++17", "-arch=sm_" + architecture, "-ccbin", toolkit.host_compiler}, "probe.cu",
                    "#include <cuda_runtime.h>\n#include <string>\n__global__ void probe(float * x) { *x = 1.0f; }\n"
                    "std::string name() { return \"probe\"; }\n", folder);
}

std::string list(const Strings & items) {
    std::string text;
    for (const auto & item : items) text += (text.empty() ? "" : ", ") + item;
    return text;
}

Toolkit find_cuda(const AskedTools & asked, const Strings & architectures, const std::string & folder) {
    const Strings candidates = asked.nvcc.empty() ? find_all("nvcc", toolkit_folders()) : Strings{asked.nvcc};
    if (candidates.empty()) {
        throw Failure(EXIT_TOOLCHAIN, "no CUDA compiler: nvcc is not in PATH, CUDA_PATH, /opt/cuda or /usr/local/cuda, nor installed by pip",
                      "install it with 'pip install --user nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-cccl', or NVIDIA's CUDA toolkit");
    }
    const Strings hosts = compilers(asked.host_compiler);
    if (hosts.empty()) {
        throw Failure(EXIT_TOOLCHAIN, "no C++ compiler for nvcc to work with: neither g++ nor clang++ is in PATH",
                      "install one, for instance with 'apt install g++', or name it with --host-compiler");
    }
    for (const auto & nvcc : candidates) {
        Toolkit toolkit;
        toolkit.compiler = nvcc;
        toolkit.version  = nvcc_version(nvcc);
        if (toolkit.version.empty()) continue;
        for (const auto & host : hosts) {
            toolkit.host_compiler = host;
            if (!compiles_cuda(toolkit, architectures.back(), folder)) continue;
            const std::string text = output_of({host, "--version"});
            toolkit.host_version = text.substr(0, text.find('\n'));
            return toolkit;
        }
    }
    throw Failure(EXIT_TOOLCHAIN, "no pair of nvcc (" + list(candidates) + ") and host compiler (" + list(hosts) +
                  ") compiles for compute capability " + architectures.back(), "see " + folder + "/probe.log");
}

}  // namespace ingot::gpu
