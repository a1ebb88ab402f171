// atom and red. Blocks run on several host threads, so these are atomic on the host as well.
#include <algorithm>

#include "addresses.h"
#include "floats.h"

namespace emulator {

enum class Operation : uint32_t { add, min, max, exchange, compare, bit_and, bit_or, bit_xor, increment, decrement };

template <class T> struct Bits { using type = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>; };

template <class T> T plus(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    } else {
        return a + b;
    }
}

template <class T> T result_of(Operation operation, T old, T value, T other) {
    switch (operation) {
        case Operation::add: return plus(old, value);
        case Operation::min: return std::min(old, value);
        case Operation::max: return std::max(old, value);
        case Operation::exchange: return value;
        case Operation::compare: return old == value ? other : old;
        default: break;
    }
    if constexpr (std::is_integral_v<T>) {
        switch (operation) {
            case Operation::bit_and: return old & value;
            case Operation::bit_or: return old | value;
            case Operation::bit_xor: return old ^ value;
            case Operation::increment: return old >= value ? T(0) : static_cast<T>(old + 1);
            case Operation::decrement: return old == 0 || old > value ? value : static_cast<T>(old - 1);
            default: break;
        }
    }
    return old;
}

// Replaces the word by what `change` makes of it; returns what it was.
template <class T, class F> T update(uint8_t * bytes, F change) {
    using U = typename Bits<T>::type;
    U * word = reinterpret_cast<U *>(bytes);
    U   old  = __atomic_load_n(word, __ATOMIC_SEQ_CST), next;
    do {
        next = bits_as<U>(change(bits_as<T>(old)));
    } while (!__atomic_compare_exchange_n(word, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return bits_as<T>(old);
}

// Operands: address, value, then the second value of a comparison, then the destination if `count` is 1.
template <class T> void atomic(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto &    operands  = instruction.operands;
    const auto      operation = static_cast<Operation>(instruction.mode);
    const bool      compares  = operation == Operation::compare;
    const uint8_t * value     = warp.source(operands[1]);
    const uint8_t * other     = compares ? warp.source(operands[2]) : value;
    for_lanes(lanes, [&](int lane) {
        const uint64_t address = address_of(warp, instruction, lane);
        uint8_t *      bytes   = checked_bytes(warp, instruction, lane, address, sizeof(T), sizeof(T), Access::atomic);
        const T        with = read<T>(value, lane), then = read<T>(other, lane);
        const T        old  = update<T>(bytes, [&](T before) { return result_of(operation, before, with, then); });
        if (instruction.count) write<T>(warp.destination(operands.back()), lane, old);
    });
}

// add of two halves in one word.
template <bool Bfloat> void add_halves(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto      of    = [](uint32_t bits) { return Bfloat ? bfloat_to_float(static_cast<uint16_t>(bits)) : half_to_float(static_cast<uint16_t>(bits)); };
    const auto      bits  = [](float sum) { return uint32_t{Bfloat ? float_to_bfloat(sum) : float_to_half(sum)}; };
    const uint8_t * value = warp.source(instruction.operands[1]);
    for_lanes(lanes, [&](int lane) {
        uint8_t *      bytes = checked_bytes(warp, instruction, lane, address_of(warp, instruction, lane), 4, 4, Access::atomic);
        const auto     with  = read<uint32_t>(value, lane);
        const uint32_t old   = update<uint32_t>(bytes, [&](uint32_t before) {
            return bits(of(before) + of(with)) | bits(of(before >> 16) + of(with >> 16)) << 16;
        });
        if (instruction.count) write<uint32_t>(warp.destination(instruction.operands.back()), lane, old);
    });
}

static bool operation_of(const Statement & from, Operation & operation) {
    static const std::pair<const char *, Operation> names[] = {
        {"add", Operation::add}, {"min", Operation::min}, {"max", Operation::max}, {"exch", Operation::exchange},
        {"cas", Operation::compare}, {"and", Operation::bit_and}, {"or", Operation::bit_or},
        {"xor", Operation::bit_xor}, {"inc", Operation::increment}, {"dec", Operation::decrement},
    };
    for (const auto & [name, value] : names) {
        if (!from.has(name)) continue;
        operation = value;
        return true;
    }
    return false;
}

static Execute atomic_of(const std::string & type, Operation operation) {
    if (type == "u32" || type == "b32") return atomic<uint32_t>;
    if (type == "s32") return atomic<int32_t>;
    if (type == "u64" || type == "b64") return atomic<uint64_t>;
    if (type == "s64") return atomic<int64_t>;
    if (operation != Operation::add) return nullptr;
    if (type == "f32") return atomic<float>;
    if (type == "f64") return atomic<double>;
    if (type == "f16x2") return add_halves<false>;
    return type == "bf16x2" ? add_halves<true> : nullptr;
}

static bool build_atomic(Decoder & decoder, const Statement & from, Instruction & into) {
    const bool   returns   = from.opcode() == "atom";
    const size_t first     = returns ? 1 : 0;
    Operation    operation = Operation::add;
    if (!operation_of(from, operation) || from.operands.size() < first + 2) return false;
    if (from.operands[first + 1][0] == '{') return false;  // vectors, of Hopper and newer
    take_address(decoder, from, into, from.operands[first]);
    for (size_t i = first + 1; i < from.operands.size(); ++i) {
        into.operands.push_back(decoder.source(from.operands[i], from.type().is_wide()));
    }
    if (returns) into.operands.push_back(decoder.destination(from.operands[0]));
    into.count   = returns ? 1 : 0;
    into.mode    = static_cast<uint32_t>(operation);
    into.execute = atomic_of(from.type().name, operation);
    return into.execute != nullptr;
}

void add_atomic(Builders & builders) { builders["atom"] = build_atomic, builders["red"] = build_atomic; }

}  // namespace emulator
