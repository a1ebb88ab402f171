// How much memory this process may still take. Pure: texts of the operating system in, bytes out.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace ingot::limits {

constexpr uint64_t UNLIMITED = std::numeric_limits<uint64_t>::max();

// Bytes in a control group's file: "max" and v1's enormous number are UNLIMITED; so is what is not a number.
uint64_t bytes_in(const std::string & text);

// The value of `key` in lines of "key value", times `unit` bytes; 0 when it is not there.
uint64_t value_of(const std::string & lines, const std::string & key, uint64_t unit = 1);

// Room in a group: its limit less what is used, of which pages of files can be taken back at any time.
// `stat` is its memory.stat, of cgroup v1 or v2.
uint64_t room_in(uint64_t limit, uint64_t used, const std::string & stat);

}  // namespace ingot::limits
