// The pure parts of what a process may use, as a program: a question as JSON on stdin, the answer on stdout.
#include <iostream>

#include <nlohmann/json.hpp>

#include "engine/memory_fit.h"
#include "engine/ranges.h"
#include "limits/cgroups.h"
#include "limits/cpus.h"
#include "limits/memory.h"
#include "printable.h"

using namespace ingot;
using nlohmann::json;

static json threads(const json & from) {
    std::optional<double> quota;
    if (from.contains("cpu.max")) quota = limits::quota_v2(from["cpu.max"]);
    if (from.contains("cpu.cfs_quota_us")) quota = limits::quota_v1(from["cpu.cfs_quota_us"], from["cpu.cfs_period_us"]);
    const auto allowed = limits::cpus_in(from.at("allowed"));
    return limits::threads_for(limits::cores_of(allowed, from.value("siblings", std::vector<std::string>{})), quota);
}

static json groups(const json & from) {
    json found = json::array();
    for (const auto & group : limits::groups(from.at("cgroup"), from.at("mountinfo"), from.at("controller"))) {
        found.push_back({group.v2 ? 2 : 1, group.folder});
    }
    return found;
}

// A model of `mapped` bytes that holds `base` and, for each token, `each` bytes.
static json context(const json & from) {
    const limits::Memory memory{from.at("room"), from.value("swap", (uint64_t) 0), true};
    const auto need = [&](uint32_t tokens) {
        return Need{from.at("base").get<uint64_t>() + tokens * from.at("each").get<uint64_t>(), from.at("mapped")};
    };
    const uint32_t whole = from.at("whole");
    return {{"fits", fits(need(whole), memory)}, {"cannot", cannot_fit(need(whole), memory)},
            {"context", context_that_fits(whole, 256, memory, need)}};
}

static json answer(const json & question) {
    const json & from = question.at(1);
    const std::string what = question.at(0);
    if (what == "threads") return threads(from);
    if (what == "groups") return groups(from);
    if (what == "context") return context(from);
    if (what == "room") return limits::room_in(limits::bytes_in(from.at(0)), from.at(1), from.at(2));
    if (what == "range") return range_problem(from.at(0), from.at(1), from.at(2));
    if (what == "bench range") return bench_range_problem(from.at(0), from.at(1));
    if (what == "printable") return printable(from);
    return nullptr;
}

int main() {
    std::cout << answer(json::parse(std::cin)).dump() << std::endl;
}
