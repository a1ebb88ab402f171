// A kernel's instructions, decoded: what each one runs, and where its operands are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

struct Warp;
struct Instruction;

// Does one instruction for these lanes of a warp.
using Execute = void (*)(Warp & warp, const Instruction & instruction, uint32_t lanes);

// Where a value is. A register has 32 slots side by side, one for each lane: of 4 bytes, or of 8 if it is wide.
// A predicate is one word with a bit for each lane.
struct Operand {
    uint32_t offset  = 0;      // bytes
    uint8_t  base    = 0;      // 0: the warp's registers, 1: the program's constants
    bool     wide    = false;
    bool     negated = false;  // "!%p1"
};

// What the scheduler does with an instruction.
enum class Control : uint8_t {
    none,          // `execute`, then the next one
    branch,        // to `target`
    branch_table,  // to the entry of `table` that the first operand counts
    exit,
    fault,         // trap, or a call that cannot be made
    barrier,       // of the block
    converge,      // waits for the lanes of the member mask, then `execute`
    yield,         // `execute`, then other warps have their turn
};

// Of an address.
enum class Space : uint8_t { generic, global, shared, local, parameter };

// `mode` of a barrier; its first operand is its number.
enum BarrierMode : uint32_t {
    barrier_aligned = 1,   // all lanes of a warp must come together
    barrier_arrive  = 2,   // does not wait
    barrier_popc = 4, barrier_and = 8, barrier_or = 16,  // bar.red; the second operand gets the result
};

constexpr int16_t all_lanes = -1;  // as the member mask: the instruction is for whole warps only

struct Instruction {
    Execute              execute = nullptr;
    std::vector<Operand> operands;
    int64_t              immediate = 0;     // offset of the address, or a constant
    int64_t              second    = 0;     // offset of the second address
    uint32_t             target    = 0;     // of a branch; or the number of its table
    int32_t              guard     = -1;    // offset of the predicate's register, -1 without
    uint32_t             index     = 0;     // within the program
    uint32_t             mode      = 0;     // the executor's own
    int16_t              members   = all_lanes;  // operand with the member mask
    uint8_t              bytes     = 4;     // of an element
    uint8_t              count     = 1;     // elements
    Space                space     = Space::generic;
    Control              control   = Control::none;
    bool                 guard_negated  = false;
    bool                 sign_extends   = false;
    bool                 dynamic_shared = false;  // the address is relative to the dynamic shared memory
    Execute              right = nullptr;   // where INGOT_EMULATOR_WRONG put a wrong one before it
};

// Registers that a warp gets its coordinates in, in this order, before those of the kernel.
enum class Special : uint32_t {
    tid_x, tid_y, tid_z, ntid_x, ntid_y, ntid_z, ctaid_x, ctaid_y, ctaid_z, nctaid_x, nctaid_y, nctaid_z,
    laneid, warpid, nwarpid, lanemask_eq, lanemask_lt, lanemask_le, lanemask_gt, lanemask_ge,
    smid, nsmid, envreg1, envreg2, clock, dynamic_smem_size,
    local_base,         // wide: address of the lane's local memory
    parameter_base = local_base + 2,  // wide: address of the parameters
    count = parameter_base + 2,
};

constexpr uint32_t narrow_register = 32 * 4, wide_register = 32 * 8;  // bytes

constexpr uint32_t offset_of(Special special) { return static_cast<uint32_t>(special) * narrow_register; }

struct Program {
    std::vector<Instruction>           code;
    std::vector<std::string>           texts;     // of the instructions
    std::vector<std::vector<uint32_t>> tables;    // of branches
    std::vector<uint8_t>               constants;
    uint32_t                           register_bytes = 0;  // of a warp
    uint32_t                           shared_bytes   = 0;  // static
    uint32_t                           local_bytes    = 0;  // of a thread
    bool                               flushes_subnormals = false;  // some instruction has .ftz
};

}  // namespace emulator
