#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <mutex>

#include "failure.h"

namespace emulator {

Memory & memory() {
    // Never destroyed: programs free device memory in destructors of their own.
    static Memory & only = *new Memory;
    return only;
}

void Memory::add(uint64_t address, uint64_t bytes, int owner) {
    const std::unique_lock lock(mutex_);
    const uint64_t         end  = address + bytes;
    const auto             next = ranges_.lower_bound(address);
    const bool overlaps = (next != ranges_.end() && next->second.begin < end) ||
                          (next != ranges_.begin() && std::prev(next)->second.end > address);
    if (bytes == 0 || overlaps) fail("a range of device memory is empty or overlaps another");
    ranges_[address] = {address, end, owner};
}

bool Memory::remove(uint64_t address) {
    const std::unique_lock lock(mutex_);
    return ranges_.erase(address) > 0;
}

void Memory::remove(uint64_t address, uint64_t bytes) {
    const std::unique_lock lock(mutex_);
    ranges_.erase(ranges_.lower_bound(address), ranges_.lower_bound(address + bytes));
}

std::optional<Range> Memory::find(uint64_t address, int device) const {
    const std::shared_lock lock(mutex_);
    auto                   at = ranges_.upper_bound(address);
    if (at == ranges_.begin()) return std::nullopt;
    --at;
    Range      found    = at->second;
    const bool foreign  = device != every_device && found.owner != every_device && found.owner != device;
    if (address >= found.end || foreign) return std::nullopt;
    for (auto next = std::next(at); next != ranges_.end(); ++next) {
        if (next->second.begin != found.end || next->second.owner != found.owner) break;
        found.end = next->second.end;
    }
    while (at != ranges_.begin()) {
        --at;
        if (at->second.end != found.begin || at->second.owner != found.owner) break;
        found.begin = at->second.begin;
    }
    return found;
}

bool Memory::is_valid(uint64_t address, uint64_t bytes, int device) const {
    const auto range = find(address, device);
    return range && range->has(address, bytes);
}

void poison(void * data, uint64_t bytes) {
    static const char * setting = std::getenv("INGOT_EMULATOR_POISON");
    const bool          zeros   = setting && std::strcmp(setting, "0") == 0;
    std::memset(data, zeros ? 0 : 0xff, bytes);
}

}  // namespace emulator
