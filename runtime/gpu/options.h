// What the command line says about GPUs. These options are ours; the engine does not see them.
#pragma once

#include <optional>
#include <string>

#include "../args.h"
#include "toolkit.h"

namespace ingot::gpu {

struct Options {
    std::string kind = "auto";       // --gpu auto nvidia amd apple vulkan none
    bool        require = false;     // --require-gpu: no GPU is an error
    bool        recompile = false;   // --recompile, or --iq alone
    bool        force = false;       // --force: also what has failed before, or is there already
    bool        nocompile = false;   // --nocompile
    std::optional<std::string> cache_dir;   // --cache-dir
    AskedTools tools;                // --nvcc, --hipcc, --host-compiler: paths
};

// Removes them from `args`; those among the author's defaults `baked` count where `args` say nothing.
// Throws Failure(EXIT_USAGE).
Options take_options(Args & args, const Args & baked = {});

// Those of this process, set once by main().
const Options & options();
void set_options(Options options);

}  // namespace ingot::gpu
