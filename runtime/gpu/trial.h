// Whether a GPU module gives the right answers on this machine, and how fast: computed in a child
// process, which a broken driver may take with it.
#pragma once

#include <set>
#include <string>

#include "../kernel_set.h"
#include "../measure.h"
#include "../sealed_file.h"
#include "choose.h"
#include "options.h"

namespace ingot::gpu {

struct Verdict {
    std::string problem;  // "" when every answer was right
    Speed       speed;    // with the type that most of the model's weights have, if asked for
};

// `set`: its weights' types are what is tested, with F32 and F16.
Verdict try_module(const os::SealedFile & module, const KernelSet & set, bool timed);

// The same of the CPU, which is not asked for answers.
Speed try_cpu(const KernelSet & set);

// The problem of a bundled module, "" if it has none. Found out once for this module, these devices
// and their driver; what came out is kept in the module cache, where there is one.
std::string problem_of(const os::SealedFile & module, Kind kind, const Machine & machine, const KernelSet & set,
                       const Options & options);

}  // namespace ingot::gpu
