// A CPU module is trusted only after it has multiplied small matrices correctly, one per
// tensor type that it is going to meet: a compiler has been seen to produce AMX code that crashes
// (native/README.md), and upstream's score does not ask the system whether it saves AVX-512
// state. Runs in a child process (os::survives), so a crash ends there.
#pragma once

#include <set>
#include <string>

#include "ggml-backend.h"

namespace ingot {

// True when every product that the backend's first device supports agrees with a
// double-precision reference within the rounding of its activations. `types` are the
// engine's names of tensor types ("Q4_K", in any case); when empty, all are tested.
bool answers_are_right(ggml_backend_reg_t reg, const std::set<std::string> & types);

}  // namespace ingot
