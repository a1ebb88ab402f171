// The compilers of GPU modules on this machine: found, and tried on a small file.
#pragma once

#include <string>
#include <vector>

namespace ingot::gpu {

struct Toolkit {
    std::string compiler;       // path of nvcc, hipcc or cc
    std::string version;        // "13.0.88"
    std::string host_compiler;  // CUDA: path
    std::string host_version;   // first line of its --version
    std::string nm = "nm";      // program that lists the names in an object
    std::vector<std::string> library_folders;  // ROCm: where its libraries are, if the loader does not know
};

// As the user named them; "" to look.
struct AskedTools {
    std::string nvcc, hipcc, host_compiler;
};

// Folders in which nvcc is looked for, in order; PATH comes first and is not in it. And hipcc.
std::vector<std::string> toolkit_folders();
std::vector<std::string> rocm_folders();

// A compiler (CUDA: a pair of nvcc and host compiler) counts when it has compiled a small file for
// the last of `architectures` in `folder`. Throw Failure(EXIT_TOOLCHAIN) that says which were tried,
// with the last one's output in `folder`/probe.log.
Toolkit find_cuda(const AskedTools & asked, const std::vector<std::string> & architectures, const std::string & folder);
Toolkit find_rocm(const AskedTools & asked, const std::vector<std::string> & architectures, const std::string & folder);
Toolkit find_metal(const AskedTools & asked, const std::vector<std::string> & architectures, const std::string & folder);

// For those who look: folders named by a variable, the children of a folder whose names begin with
// `prefix` (highest first), site-packages of Python environments, and the paths of a program.
void add_variable(std::vector<std::string> & folders, const char * name, const char * below);
std::vector<std::string> children(const std::string & folder, const std::string & prefix);
std::vector<std::string> site_packages();
std::vector<std::string> find_all(const std::string & program, const std::vector<std::string> & folders);
std::string list(const std::vector<std::string> & items);

// Compiles `source` as `name` in `folder`, with the output in probe.log there.
bool compiles(std::vector<std::string> command, const std::string & name, const std::string & source, const std::string & folder);

}  // namespace ingot::gpu
