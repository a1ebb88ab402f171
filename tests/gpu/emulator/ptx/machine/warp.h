// A block while it runs: its warps, their diverged lanes, its memory and barriers.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "../interpreter.h"
#include "../memory.h"
#include "program.h"
#include "shadow.h"

namespace emulator {

// Lanes of a warp that are at the same instruction.
struct Group {
    enum class State : uint8_t { ready, at_barrier, waits_for_lanes, had_its_turn } state = State::ready;
    uint32_t pc      = 0;
    uint32_t lanes   = 0;
    uint32_t barrier = 0;  // the one that it waits at
};

// cp.async: bytes that arrive when they are waited for, as late as a device may do it.
struct AsyncCopy {
    uint32_t lane = 0, group = 0;
    uint32_t to = 0;            // offset in shared memory
    uint64_t from = 0;
    uint32_t bytes = 0, valid = 0;  // `valid` bytes come from memory, zeros follow
};

struct Block;

struct Warp {
    const uint8_t *        bases[2] = {};  // of operands: registers, constants
    Block *                block    = nullptr;
    uint32_t               number   = 0;   // within the block
    uint32_t               live     = 0;   // lanes that have not returned
    std::vector<Group>     groups;
    std::vector<AsyncCopy> copies;
    uint32_t               committed[32] = {};  // groups of copies, for each lane
    uint64_t               instructions  = 0;

    const uint8_t * source(const Operand & operand) const { return bases[operand.base] + operand.offset; }
    uint8_t *       destination(const Operand & operand) const {
        return const_cast<uint8_t *>(bases[0]) + operand.offset;
    }
};

struct Barrier {
    uint32_t arrived  = 0;  // threads
    uint32_t expected = 0;  // 0: all that are alive
    uint32_t warps    = 0;
    // Of bar.red, over the threads that arrived.
    uint32_t count    = 0;
    bool     all      = true;
};

// Large memory that blocks of later launches use again.
struct Storage {
    std::vector<uint8_t> registers, local, shared;
    Shadow               shadow;
};

struct Block {
    Kernel *             kernel  = nullptr;
    const Program *      program = nullptr;
    const Launch *       launch  = nullptr;
    Size                 index;
    uint8_t *            shared       = nullptr;
    uint32_t             shared_bytes = 0;
    const uint8_t *      parameters   = nullptr;
    uint64_t             workspace    = 0;  // of a cooperative launch: its grid barrier
    uint32_t             live_threads = 0;
    std::vector<Warp>    warps;
    std::vector<uint32_t> order;  // of warps
    Barrier              barriers[16];
    Shadow *             shadow = nullptr;  // nullptr: no search for races
    // The range that each instruction last accessed.
    std::vector<Range>   ranges;
    uint8_t *            local_base = nullptr;
    std::unique_ptr<Storage> storage;

    // For a kernel's blocks, one after another; not copyable, because warps point into it.
    Block(const Launch & launch, const uint8_t * parameters, uint64_t workspace);
    ~Block();
    Block(const Block &) = delete;

    void start(Size index);
    bool is_done() const { return live_threads == 0; }
    // Lets each warp execute up to so many instructions. False if none could go on.
    bool advance(uint64_t instructions);
    // Fails, with the reason why no warp can go on.
    [[noreturn]] void fail_stuck() const;

private:
    void start_warp(Warp & warp);
    bool release_barriers();
    void complete(uint32_t number);
};

// Lets it execute up to so many instructions, or until it waits. False if it could not execute any.
bool advance(Warp & warp, uint64_t instructions);

// Fails with the place of an instruction; lane -1 for the whole warp.
[[noreturn]] void fail(const Warp & warp, const Instruction & instruction, int lane, const std::string & what);

}  // namespace emulator
