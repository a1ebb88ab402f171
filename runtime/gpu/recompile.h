// `--recompile`: makes, tests and keeps a CUDA module for a model on the machine it runs on.
#pragma once

#include <string>

#include "../bundle.h"
#include "../error.h"
#include "../kernel_set.h"
#include "../module_cache.h"
#include "cuda_module.h"
#include "device.h"
#include "options.h"

namespace ingot::gpu {

// What a module is found by at start, without a compiler: the model's kernel set, the sources, the
// GPUs, the driver's major version, the program's ABI. 64 lowercase hexadecimal characters.
std::string start_key(const std::string & sources_digest, const KernelSet & set, const Probe & probe);

// Of the sources in the bundle, by the hash in the manifest; "" when it carries none.
std::string sources_digest(const Bundle & bundle);

// A private folder to compile in. Throws Failure(EXIT_TOOLCHAIN) when there is no room for one.
os::TemporaryFolder workplace(const ModuleCache & cache);

// The compiler's words, where a failure's hint names the log that has them; else "".
std::string log_of(const Failure & failure);

// Lets `request` take objects from `cache`, which must outlive it, and keep new ones there.
void use_objects(ModuleRequest & request, const ModuleCache & cache);

struct Outcome {
    bool        compiled = false;  // else it was there already
    std::string line;              // what to tell
};

// Throws Failure: EXIT_GPU without a GPU or when the module's answers are wrong, EXIT_TOOLCHAIN
// when it cannot be compiled. What worked before still does.
Outcome recompile(const Bundle & bundle, const KernelSet & set, const Options & options);

}  // namespace ingot::gpu
