#include "memory.h"

#include <algorithm>
#include <sstream>

namespace ingot::limits {

uint64_t bytes_in(const std::string & text) {
    std::istringstream words(text);
    uint64_t bytes = 0;
    if (!(words >> bytes)) return UNLIMITED;
    return bytes >= (uint64_t) 1 << 60 ? UNLIMITED : bytes;
}

uint64_t value_of(const std::string & lines, const std::string & key, uint64_t unit) {
    std::istringstream rest(lines);
    for (std::string line; std::getline(rest, line);) {
        std::istringstream words(line);
        std::string name;
        uint64_t value = 0;
        if (words >> name >> value && name == key) return value * unit;
    }
    return 0;
}

uint64_t room_in(uint64_t limit, uint64_t used, const std::string & stat) {
    if (limit == UNLIMITED) return UNLIMITED;
    // v1 counts those of groups below under these names.
    uint64_t files = value_of(stat, "total_active_file") + value_of(stat, "total_inactive_file");
    if (files == 0) files = value_of(stat, "active_file") + value_of(stat, "inactive_file");
    const uint64_t held = used - std::min(used, files);
    return limit - std::min(limit, held);
}

}  // namespace ingot::limits
