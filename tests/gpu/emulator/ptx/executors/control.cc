// ret, exit, trap, call; barriers of the block and of a warp; nanosleep. And the table of all opcodes.
#include "elementwise.h"

namespace emulator {

static bool build_exit(Decoder &, const Statement &, Instruction & into) {
    into.control = Control::exit;
    return true;
}

// A call that is left in these kernels is one of vprintf before a trap.
static bool build_fault(Decoder &, const Statement &, Instruction & into) {
    into.control = Control::fault;
    return true;
}

static void sleep(Warp &, const Instruction &, uint32_t) {}

static bool build_sleep(Decoder &, const Statement &, Instruction & into) {
    into.control = Control::yield;
    into.execute = sleep;
    return true;
}

static void sync_lanes(Warp & warp, const Instruction &, uint32_t) {
    if (warp.block->shadow) warp.block->shadow->sync_warp(warp.number);
}

// Operands: its number; of bar.red then the result and the predicate; last the threads, if `count` is 1.
static void arrive(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto &   operands = instruction.operands;
    const int      first    = __builtin_ctz(lanes);
    const uint32_t number   = read<uint32_t>(warp.source(operands[0]), first);
    if (number >= 16) fail(warp, instruction, first, "a barrier of a number above 15");
    Barrier & barrier = warp.block->barriers[number];
    barrier.arrived += static_cast<uint32_t>(__builtin_popcount(lanes));
    barrier.warps |= 1u << warp.number;
    if (instruction.count) {
        barrier.expected = read<uint32_t>(warp.source(operands.back()), first);
        if (barrier.expected % 32) fail(warp, instruction, first, "a barrier of threads that are not whole warps");
    }
    if (!(instruction.mode & (barrier_popc | barrier_and | barrier_or))) return;
    const Operand & predicate = operands[2];
    const auto      bits      = read<uint32_t>(warp.source(predicate), 0);
    const uint32_t  votes     = (predicate.negated ? ~bits : bits) & lanes;
    barrier.count += static_cast<uint32_t>(__builtin_popcount(votes));
    barrier.all &= votes == lanes;
}

static bool build_barrier(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.has("cluster")) return false;
    if (from.has("warp")) {
        into.operands = {decoder.source(from.operands[0], false)};
        into.members  = 0;
        into.control  = Control::converge;
        into.execute  = sync_lanes;
        return true;
    }
    const bool reduces = from.has("red");
    const auto operand = [&](size_t i) { return decoder.source(from.operands[i], false); };
    into.mode = 0;
    if (from.opcode() == "bar" || from.has("aligned")) into.mode |= barrier_aligned;
    if (from.has("arrive")) into.mode |= barrier_arrive;
    if (reduces) into.mode |= from.has("popc") ? barrier_popc : from.has("and") ? barrier_and : barrier_or;
    const size_t number = reduces ? 1 : 0, last = from.operands.size() - (reduces ? 1 : 0);
    into.operands = {operand(number)};
    if (reduces) {
        into.operands.push_back(decoder.destination(from.operands[0]));
        into.operands.push_back(decoder.predicate(from.operands.back()));
    }
    into.count = last > number + 1 ? 1 : 0;
    if (into.count) into.operands.push_back(operand(number + 1));
    into.control = Control::barrier;
    into.execute = arrive;
    return true;
}

void add_control(Builders & builders) {
    builders["ret"] = build_exit, builders["exit"] = build_exit;
    builders["trap"] = build_fault, builders["call"] = build_fault;
    builders["bar"] = build_barrier, builders["barrier"] = build_barrier, builders["nanosleep"] = build_sleep;
}

const Builders & builders() {
    static const Builders all = [] {
        Builders made;
        for (const auto add : {add_arithmetic, add_bits, add_compare, add_convert, add_move, add_memory, add_atomic,
                               add_async_copy, add_exchange, add_control, add_matrix, add_mma, add_wmma}) {
            add(made);
        }
        return made;
    }();
    return all;
}

}  // namespace emulator
