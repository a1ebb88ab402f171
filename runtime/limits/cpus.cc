#include "cpus.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace ingot::limits {

static std::optional<double> ratio(const std::string & quota, const std::string & period) {
    std::istringstream above(quota), below(period);
    double used = 0, whole = 0;
    if (!(above >> used) || !(below >> whole) || used <= 0 || whole <= 0) return std::nullopt;
    return used / whole;
}

std::optional<double> quota_v2(const std::string & cpu_max) {
    std::istringstream words(cpu_max);
    std::string quota, period;
    words >> quota >> period;
    return ratio(quota, period);
}

std::optional<double> quota_v1(const std::string & quota_us, const std::string & period_us) { return ratio(quota_us, period_us); }

std::set<int> cpus_in(const std::string & list) {
    std::set<int> cpus;
    std::istringstream ranges(list);
    for (std::string range; std::getline(ranges, range, ',');) {
        std::istringstream ends(range);
        int from = 0, to = 0;
        char dash = 0;
        if (!(ends >> from)) continue;
        if (!(ends >> dash >> to) || dash != '-') to = from;
        for (int cpu = from; cpu <= to && to - from < 65536; ++cpu) cpus.insert(cpu);
    }
    return cpus;
}

unsigned cores_of(const std::set<int> & allowed, const std::vector<std::string> & siblings) {
    std::set<int> rest = allowed;
    unsigned cores = 0;
    for (const std::string & list : siblings) {
        size_t here = 0;
        for (int cpu : cpus_in(list)) here += rest.erase(cpu);
        cores += here > 0;
    }
    return cores + (unsigned) rest.size();
}

unsigned threads_for(unsigned cores, std::optional<double> quota) {
    if (quota) cores = std::min(cores, (unsigned) std::floor(std::min(*quota, 65536.0)));
    return std::max(1u, cores);
}

}  // namespace ingot::limits
