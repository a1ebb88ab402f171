// Where the limits of this process's control groups are written. Pure: texts of /proc in, folders out.
#pragma once

#include <string>
#include <vector>

namespace ingot::limits {

struct Group {
    bool        v2 = false;
    std::string folder;
};

// Folders of the groups that limit this process in `controller` ("cpu", "memory"): its own first, then each above it
// as far as is mounted, since the smallest limit of all counts. From /proc/self/cgroup and /proc/self/mountinfo.
std::vector<Group> groups(const std::string & self_cgroup, const std::string & mountinfo, const std::string & controller);

}  // namespace ingot::limits
