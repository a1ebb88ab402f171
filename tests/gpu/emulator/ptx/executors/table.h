// Opcode -> what makes its instructions executable. Each file of this folder adds its opcodes.
#pragma once

#include <string>
#include <unordered_map>

#include "../reader/decoder.h"

namespace emulator {

// Fills in operands and executor; false if it has none for this variant.
using Build = bool (*)(Decoder & decoder, const Statement & from, Instruction & into);
using Builders = std::unordered_map<std::string, Build>;

void add_arithmetic(Builders & builders);
void add_bits(Builders & builders);
void add_compare(Builders & builders);
void add_convert(Builders & builders);
void add_move(Builders & builders);
void add_memory(Builders & builders);
void add_atomic(Builders & builders);
void add_async_copy(Builders & builders);
void add_exchange(Builders & builders);
void add_control(Builders & builders);
void add_matrix(Builders & builders);
void add_mma(Builders & builders);
void add_wmma(Builders & builders);

// All of them.
const Builders & builders();

}  // namespace emulator
