// What the lanes of a warp do together: shfl, vote, match, redux, activemask.
#include <algorithm>

#include "elementwise.h"

namespace emulator {

static void set_predicate(Warp & warp, const Operand & operand, uint32_t lanes, uint32_t value) {
    uint8_t * to = warp.destination(operand);
    write<uint32_t>(to, 0, (read<uint32_t>(to, 0) & ~lanes) | (value & lanes));
}

static uint32_t predicate_of(Warp & warp, const Operand & operand) {
    const auto bits = read<uint32_t>(warp.source(operand), 0);
    return operand.negated ? ~bits : bits;
}

enum class Shuffle : uint32_t { up, down, butterfly, index };

struct From {
    int  lane;
    bool in_range;  // else the lane keeps its own value
};

// As the PTX manual has it: `bounds` has the width of a segment and the end of it.
static From source_lane(Shuffle kind, int lane, uint32_t b, uint32_t bounds) {
    const int by = static_cast<int>(b & 31), segment = static_cast<int>(bounds >> 8 & 31), clamp = static_cast<int>(bounds & 31);
    const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    switch (kind) {
        case Shuffle::up: return {lane - by, lane - by >= last};
        case Shuffle::down: return {lane + by, lane + by <= last};
        case Shuffle::butterfly: return {lane ^ by, (lane ^ by) <= last};
        case Shuffle::index: break;
    }
    const int from = first | (by & ~segment);
    return {from, from <= last};
}

// Operands: value, lane, bounds, member mask, destination, and a predicate if `count` is 2.
static void shuffle(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto &    operands = instruction.operands;
    const uint8_t * value    = warp.source(operands[0]);
    const uint8_t * by       = warp.source(operands[1]);
    const uint8_t * bounds   = warp.source(operands[2]);
    uint32_t        results[32] = {}, predicate = 0;
    for_lanes(lanes, [&](int lane) {
        From from = source_lane(static_cast<Shuffle>(instruction.mode), lane, read<uint32_t>(by, lane), read<uint32_t>(bounds, lane));
        if (!from.in_range) from.lane = lane;
        if (!(lanes >> from.lane & 1)) fail(warp, instruction, lane, "it reads lane " + std::to_string(from.lane) + ", which does not take part");
        results[lane] = read<uint32_t>(value, from.lane);
        predicate |= static_cast<uint32_t>(from.in_range) << lane;
    });
    uint8_t * to = warp.destination(operands[4]);
    for_lanes(lanes, [&](int lane) { write<uint32_t>(to, lane, results[lane]); });
    if (instruction.count == 2) set_predicate(warp, operands[5], lanes, predicate);
}

static bool build_shuffle(Decoder & decoder, const Statement & from, Instruction & into) {
    if (!from.has("sync") || from.operands.size() != 5) return false;
    for (size_t i = 1; i < 5; ++i) into.operands.push_back(decoder.source(from.operands[i], false));
    const auto results = split(from.operands[0], '|');
    into.operands.push_back(decoder.destination(results[0]));
    if (results.size() > 1) into.operands.push_back(decoder.destination(results[1]));
    const Shuffle kind = from.has("up") ? Shuffle::up : from.has("down") ? Shuffle::down : from.has("bfly") ? Shuffle::butterfly : Shuffle::index;
    into.mode    = static_cast<uint32_t>(kind);
    into.count   = static_cast<uint8_t>(results.size());
    into.members = 3;
    into.control = Control::converge;
    into.execute = shuffle;
    return true;
}

// Operands of these: value, member mask, destination.
static void ballot(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint32_t votes = predicate_of(warp, instruction.operands[0]) & lanes;
    uint8_t *      to    = warp.destination(instruction.operands[2]);
    for_lanes(lanes, [&](int lane) { write<uint32_t>(to, lane, votes); });
}

static void vote_all(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint32_t votes = predicate_of(warp, instruction.operands[0]) & lanes;
    set_predicate(warp, instruction.operands[2], lanes, votes == lanes ? ~0u : 0);
}

static void vote_any(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint32_t votes = predicate_of(warp, instruction.operands[0]) & lanes;
    set_predicate(warp, instruction.operands[2], lanes, votes ? ~0u : 0);
}

static void vote_uniform(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint32_t votes = predicate_of(warp, instruction.operands[0]) & lanes;
    set_predicate(warp, instruction.operands[2], lanes, votes == lanes || votes == 0 ? ~0u : 0);
}

static bool build_vote(Decoder & decoder, const Statement & from, Instruction & into) {
    if (!from.has("sync") || from.operands.size() != 3) return false;
    into.operands = {decoder.predicate(from.operands[1]), decoder.source(from.operands[2], false), decoder.destination(from.operands[0])};
    into.members  = 1;
    into.control  = Control::converge;
    into.execute  = from.has("ballot") ? ballot : from.has("all") ? vote_all : from.has("any") ? vote_any : vote_uniform;
    return true;
}

static void match_any(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const Operand & value = instruction.operands[0];
    const uint8_t * from  = warp.source(value);
    uint32_t        equal[32] = {};
    for_lanes(lanes, [&](int lane) {
        for_lanes(lanes, [&](int other) {
            const bool same = read_bits(from, value.wide, lane) == read_bits(from, value.wide, other);
            equal[lane] |= static_cast<uint32_t>(same) << other;
        });
    });
    uint8_t * to = warp.destination(instruction.operands[2]);
    for_lanes(lanes, [&](int lane) { write<uint32_t>(to, lane, equal[lane]); });
}

static bool build_match(Decoder & decoder, const Statement & from, Instruction & into) {
    if (!from.has("any") || !from.has("sync")) return false;
    into.operands = {decoder.source(from.operands[1], from.type().is_wide()), decoder.source(from.operands[2], false),
                     decoder.destination(from.operands[0])};
    into.members  = 1;
    into.control  = Control::converge;
    into.execute  = match_any;
    return true;
}

template <class T> T sum(T a, T b) { return static_cast<T>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
template <class T> T lesser(T a, T b) { return std::min(a, b); }
template <class T> T greater(T a, T b) { return std::max(a, b); }
template <class T> T common(T a, T b) { return a & b; }
template <class T> T joined(T a, T b) { return a | b; }
template <class T> T differing(T a, T b) { return a ^ b; }

template <class T, T (*F)(T, T)> void reduce(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from   = warp.source(instruction.operands[0]);
    T               result = read<T>(from, __builtin_ctz(lanes));
    for_lanes(lanes & (lanes - 1), [&](int lane) { result = F(result, read<T>(from, lane)); });
    uint8_t * to = warp.destination(instruction.operands[2]);
    for_lanes(lanes, [&](int lane) { write<T>(to, lane, result); });
}

template <class T> Execute reduction(const Statement & from) {
    if (from.has("add")) return reduce<T, sum<T>>;
    if (from.has("min")) return reduce<T, lesser<T>>;
    if (from.has("max")) return reduce<T, greater<T>>;
    if (from.has("and")) return reduce<T, common<T>>;
    if (from.has("or")) return reduce<T, joined<T>>;
    return from.has("xor") ? reduce<T, differing<T>> : nullptr;
}

static bool build_reduction(Decoder & decoder, const Statement & from, Instruction & into) {
    into.operands = {decoder.source(from.operands[1], false), decoder.source(from.operands[2], false), decoder.destination(from.operands[0])};
    into.members  = 1;
    into.control  = Control::converge;
    into.execute  = from.type().kind == 's' ? reduction<int32_t>(from) : reduction<uint32_t>(from);
    return into.execute != nullptr && from.type().kind != 'f';
}

static void active_mask(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    for_lanes(lanes, [&](int lane) { write<uint32_t>(warp.destination(instruction.operands[0]), lane, lanes); });
}

static bool build_active_mask(Decoder & decoder, const Statement & from, Instruction & into) {
    into.operands = {decoder.destination(from.operands[0])};
    into.execute  = active_mask;
    return true;
}

void add_exchange(Builders & builders) {
    builders["shfl"] = build_shuffle, builders["vote"] = build_vote, builders["match"] = build_match;
    builders["redux"] = build_reduction, builders["activemask"] = build_active_mask;
}

}  // namespace emulator
