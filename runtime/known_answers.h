// A CPU module is trusted only after it has multiplied small matrices correctly, one per
// quantisation type it claims: a compiler has been seen to produce AMX code that crashes
// (native/README.md), and upstream's score does not ask the system whether it saves AVX-512
// state. Runs in a child process (os::survives), so a crash ends there.
#pragma once

#include "ggml-backend.h"

namespace ingot {

// True when every product that the backend's first device supports agrees with a
// double-precision reference within the rounding of its activations.
bool answers_are_right(ggml_backend_reg_t reg);

}  // namespace ingot
