// Runs one launch of a kernel: 32 lanes of a warp in lockstep, as far as they have not branched apart.
//
// Every access is checked for bounds and alignment, and accesses to shared memory for races between threads
// that no barrier orders. The order of blocks and warps depends on a seed. From the environment:
//   INGOT_EMULATOR_SEED     order of blocks, warps and diverged lanes; 0 (default): ascending
//   INGOT_EMULATOR_THREADS  threads that run blocks (default: 2)
//   INGOT_EMULATOR_RACES    0: no search for races
//   INGOT_EMULATOR_WRONG    a part of an opcode, "s32.s8.s8.s32": such instructions give wrong numbers
#pragma once

#include <cstdint>
#include <string>

#include "ptx.h"

namespace emulator {

struct Size {
    uint32_t x = 1, y = 1, z = 1;

    uint64_t count() const { return uint64_t{x} * y * z; }
};

// What a device allows.
struct Limits {
    uint32_t threads_per_block   = 1024;
    uint32_t shared_per_block    = 48 * 1024;  // bytes, static and dynamic; more if a kernel's attribute allows it
    uint32_t blocks_at_once      = 8;          // of a cooperative launch
};

struct Launch {
    Kernel *              kernel = nullptr;
    Size                  grid, block;
    uint32_t              dynamic_shared = 0;        // bytes
    const void * const *  arguments      = nullptr;  // one pointer for each parameter
    bool                  cooperative    = false;    // blocks may wait for each other
    int                   device         = 0;
    Limits                limits;
};

// Why a device would refuse it: empty if it would not.
std::string refusal(const Launch & launch);

// Returns when it is done, with the number of instructions that its warps executed. Fails where `refusal` says
// something. Different host threads may run launches at the same time.
uint64_t run(const Launch & launch);

// The seed of this process, 0 without.
uint64_t seed();

}  // namespace emulator
