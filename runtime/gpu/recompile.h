// `--recompile`: makes, tests and keeps a GPU module for a model on the machine it runs on.
#pragma once

#include <string>

#include "../bundle.h"
#include "../error.h"
#include "../kernel_set.h"
#include "../module_cache.h"
#include "device.h"
#include "gpu_module.h"
#include "options.h"

namespace ingot::gpu {

// What a module is found by at start, without a compiler: its kind ("nvidia", "amd", "apple"), the
// model's kernel set, the sources, the GPUs, the driver's major version, the program's ABI. 64
// lowercase hexadecimal characters.
std::string start_key(const std::string & kind, const std::string & sources_digest, const KernelSet & set, const Probe & probe);

// Of the sources in the bundle, by the hash in the manifest; "" when it carries none.
std::string sources_digest(const Bundle & bundle);

// A private folder to compile in. Throws Failure(EXIT_TOOLCHAIN) when there is no room for one.
os::TemporaryFolder workplace(const ModuleCache & cache);

// The compiler's words, where a failure's hint names the log that has them; else "".
std::string log_of(const Failure & failure);
// Prints them, because the log is about to go with its scratch folder, and throws the failure.
[[noreturn]] void tell_log(const Failure & failure);

// Whether something failed for want of space on the disk of the folder `scratch`.
bool disk_is_full(const Failure & failure, const std::string & scratch);

// Lets `request` take objects from `cache`, which must outlive it, and keep new ones there.
void use_objects(ModuleRequest & request, const ModuleCache & cache);

struct Outcome {
    bool        compiled = false;  // else it was there already
    std::string line;              // what to tell
};

// `kind`: of --gpu; "auto" takes the first of NVIDIA, AMD and Apple that is here. Throws Failure:
// EXIT_GPU without a GPU or when the module's answers are wrong, EXIT_TOOLCHAIN when it cannot be
// compiled or there is no room for it. What worked before still does.
//
// The text kept with the module is a JSON object: `kind`, `archs` (a list of texts), `key`,
// `toolkit`, `host_compiler`, `units`, `cpu_seconds`, `wall_seconds`; for NVIDIA also `cubins`
// (compute capabilities times ten) and `cuda` (the toolkit's major version).
Outcome recompile(const Bundle & bundle, const KernelSet & set, const Options & options, const std::string & kind);

}  // namespace ingot::gpu
