// Reading and writing the slots of registers, lane by lane.
#pragma once

#include <cstdint>
#include <cstring>

#include "program.h"

namespace emulator {

template <class T> constexpr int slot_of = sizeof(T) == 8 ? 8 : 4;

template <class T> inline T read(const uint8_t * slots, int lane) {
    T value;
    std::memcpy(&value, slots + lane * slot_of<T>, sizeof value);
    return value;
}

template <class T> inline void write(uint8_t * slots, int lane, T value) {
    std::memcpy(slots + lane * slot_of<T>, &value, sizeof value);
}

// Of a slot whose width the operand says.
inline uint64_t read_bits(const uint8_t * slots, bool wide, int lane) {
    return wide ? read<uint64_t>(slots, lane) : read<uint32_t>(slots, lane);
}

inline void write_bits(uint8_t * slots, bool wide, int lane, uint64_t value) {
    if (wide) {
        write<uint64_t>(slots, lane, value);
    } else {
        write<uint32_t>(slots, lane, static_cast<uint32_t>(value));
    }
}

template <class F> inline void for_lanes(uint32_t lanes, F && body) {
    if (lanes == ~0u) {
        for (int lane = 0; lane < 32; ++lane) body(lane);
        return;
    }
    for (; lanes; lanes &= lanes - 1) body(__builtin_ctz(lanes));
}

template <class To, class From> inline To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace emulator
