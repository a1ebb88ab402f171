// Makes a GPU module for a kernel set: plans its units, compiles them in parallel with objects
// cached by content, writes stubs for what was left out, links.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend.h"

namespace ingot::gpu {

struct Module {
    std::string path;  // in the scratch folder
    std::string key;
    size_t      units = 0, compiled = 0;  // `compiled`: not found among the objects
    double      cpu_seconds = 0, wall_seconds = 0;
    std::map<std::string, double> unit_seconds;  // of one core, by the names of the units that were compiled
    // Unit -> what it calls that is not in the module. Only units that choose among kernels may
    // have any: ggml-cuda, fattn, mmq and their like.
    std::map<std::string, std::set<std::string>> stubs;
    std::vector<std::string> left_out;  // ops of the set without kernels
};

// Whose PTX a module for `capabilities` gets: the highest up to 9.0, because PTX runs on everything
// newer than itself, and that of 12.0 would leave out 10.x.
int ptx_capability(const std::vector<int> & capabilities);

// How far a compilation is. `work` counts seconds of one core, estimated, because units are of unequal
// length; `work_done` includes what those under way have behind them.
struct Advance {
    size_t      done = 0, units = 0;
    double      work_done = 0, work = 0;
    std::string name;  // of the unit that ended; "" before the first
};
using Progress = std::function<void(const Advance &)>;

// Seconds of one core, estimated, that compiling everything of `request` takes.
double compile_seconds(const ModuleRequest & request);

// Covers everything that the module depends on, apart from the driver that will load it. 64
// lowercase hexadecimal characters.
std::string module_key(const ModuleRequest & request);

// Throws Failure(EXIT_TOOLCHAIN): what failed, its first error, and where the log is.
Module make_module(const ModuleRequest & request, const Progress & progress);

}  // namespace ingot::gpu
