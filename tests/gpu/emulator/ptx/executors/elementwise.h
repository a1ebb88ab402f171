// The usual executor: a function of one, two or three values, for each lane.
#pragma once

#include <type_traits>

#include "../machine/lanes.h"
#include "../machine/warp.h"
#include "table.h"

namespace emulator {

// Operands of each source's width; the literals get the width of the type.
inline void take_operands(Decoder & decoder, const Statement & from, Instruction & into, bool wide) {
    into.operands.push_back(decoder.destination(from.operands[0]));
    for (size_t i = 1; i < from.operands.size(); ++i) into.operands.push_back(decoder.source(from.operands[i], wide));
}

// Results into an array first: a destination may be a source as well, and so the compiler can use vectors.
template <class D, class F> inline void store_lanes(uint8_t * to, uint32_t lanes, F value) {
    if (lanes == ~0u && sizeof(D) >= 4) {
        D all[32];
        for (int lane = 0; lane < 32; ++lane) all[lane] = value(lane);
        std::memcpy(to, all, sizeof all);
        return;
    }
    for_lanes(lanes, [&](int lane) { write<D>(to, lane, value(lane)); });
}

template <class D, class A, D (*F)(A)> void unary(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * a = warp.source(instruction.operands[1]);
    store_lanes<D>(warp.destination(instruction.operands[0]), lanes, [&](int lane) { return F(read<A>(a, lane)); });
}

template <class D, class A, class B, D (*F)(A, B)>
void binary(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * a = warp.source(instruction.operands[1]);
    const uint8_t * b = warp.source(instruction.operands[2]);
    store_lanes<D>(warp.destination(instruction.operands[0]), lanes,
                   [&](int lane) { return F(read<A>(a, lane), read<B>(b, lane)); });
}

template <class D, class A, class C, D (*F)(A, A, C)>
void ternary(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * a = warp.source(instruction.operands[1]);
    const uint8_t * b = warp.source(instruction.operands[2]);
    const uint8_t * c = warp.source(instruction.operands[3]);
    store_lanes<D>(warp.destination(instruction.operands[0]), lanes,
                   [&](int lane) { return F(read<A>(a, lane), read<A>(b, lane), read<C>(c, lane)); });
}

// A type's instance of an executor template; `f16` types are not arithmetic ones of the host.
template <template <class> class Make> Execute of_integer(const std::string & type) {
    if (type == "s32") return Make<int32_t>::execute;
    if (type == "u32" || type == "b32") return Make<uint32_t>::execute;
    if (type == "s64") return Make<int64_t>::execute;
    if (type == "u64" || type == "b64") return Make<uint64_t>::execute;
    if (type == "s16") return Make<int16_t>::execute;
    if (type == "u16" || type == "b16") return Make<uint16_t>::execute;
    return nullptr;
}

template <template <class> class Make> Execute of_float(const std::string & type) {
    if (type == "f32") return Make<float>::execute;
    if (type == "f64") return Make<double>::execute;
    return nullptr;
}

template <template <class> class Make> Execute of_number(const std::string & type) {
    const Execute found = of_integer<Make>(type);
    return found ? found : of_float<Make>(type);
}

}  // namespace emulator
