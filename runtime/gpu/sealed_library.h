// Loading a library from sealed memory: what was hashed and tested is what runs.
#pragma once

#include <string>

#include "../sealed_file.h"

namespace ingot::gpu {

// The address of `symbol`, or nullptr with the reason in `why`. The mapping stays until the process ends.
void * load_sealed(const os::SealedFile & library, const char * symbol, std::string & why);

}  // namespace ingot::gpu
