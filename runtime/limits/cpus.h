// How many CPUs this process may use: fewer than the machine has, in a container or under taskset.
// Pure: texts of the operating system in, numbers out (limits.h reads them).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ingot::limits {

// CPUs per period that a control group may use, from cpu.max of cgroup v2 ("50000 100000", "max 100000") or from
// v1's cpu.cfs_quota_us and cpu.cfs_period_us. Nothing when there is no limit or the text is not one.
std::optional<double> quota_v2(const std::string & cpu_max);
std::optional<double> quota_v1(const std::string & quota_us, const std::string & period_us);

// CPU numbers in a list of the kernel: "0-3,8" is 0, 1, 2, 3 and 8.
std::set<int> cpus_in(const std::string & list);

// Number of physical cores among `allowed`. `siblings` are the kernel's lists of hardware threads that share a core,
// one per CPU that says so; a CPU that is in none counts as a core.
unsigned cores_of(const std::set<int> & allowed, const std::vector<std::string> & siblings);

// Threads that keep `cores` busy and no more: at most the quota, rounded down since threads wait for each other
// spinning, and at least 1.
unsigned threads_for(unsigned cores, std::optional<double> quota);

}  // namespace ingot::limits
