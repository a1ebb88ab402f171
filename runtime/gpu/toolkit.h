// The CUDA toolkit and the host compiler on this machine.
#pragma once

#include <string>
#include <vector>

namespace ingot::gpu {

struct Toolkit {
    std::string nvcc;           // path
    std::string version;        // "13.0.88"
    std::string host_compiler;  // path; "" leaves it to nvcc
    std::string host_version;   // first line of its --version
};

// Folders in which nvcc is looked for, in order; PATH comes first and is not in it.
std::vector<std::string> toolkit_folders();

// `nvcc` and `host_compiler` as the user named them, or "" to look. A pair counts when it has compiled a
// small kernel for `architecture` ("90") in `folder`. Throws Failure(EXIT_TOOLCHAIN) that says
// which were tried, with the last one's output in `folder`/probe.log.
Toolkit find_toolkit(const std::string & nvcc, const std::string & host_compiler, const std::string & architecture,
                     const std::string & folder);

}  // namespace ingot::gpu
