// Arithmetic of f16, f16x2, bf16 and bf16x2.
#pragma once

#include "table.h"

namespace emulator {

// False for other types, and for opcodes without such variants.
bool build_halves(Decoder & decoder, const Statement & from, Instruction & into);

}  // namespace emulator
