// Checks the program and every entry of the executable against its manifest. Start-up checks only what it is
// about to run; this reads the gigabytes of weights as well, on every core.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "../answers.h"
#include "../error.h"
#include "../printable.h"
#include "../limits/limits.h"
#include "../sha256.h"
#include "verbs.h"

namespace ingot::verbs {

struct Damage {
    std::string entry;
    uint64_t    from, to;  // bytes within the entry, [from, to)
};

// Compares the chunks of a weights entry with the leaves of its hash tree.
static std::vector<Damage> damaged_chunks(const Bundle & bundle, const Entry & entry) {
    const Entry * leaves_entry = bundle.manifest.named(entry.leaves);
    const uint64_t count = (entry.size + entry.chunk - 1) / entry.chunk;
    std::vector<uint8_t> leaves;
    try {
        if (leaves_entry) leaves = bundle.read(*leaves_entry);
    } catch (const Failure &) {
        // reported with its own entry
    }
    if (leaves.size() != count * 32) return {{entry.name, 0, entry.size}};

    std::atomic<uint64_t> next{0};
    std::mutex            lock;
    std::vector<Damage>   found;
    const auto work = [&] {
        std::vector<uint8_t> buffer(entry.chunk);
        for (uint64_t i; (i = next++) < count;) {
            const uint64_t from = i * entry.chunk, size = std::min(entry.chunk, entry.size - from);
            uint8_t digest[32] = {0};
            bool    readable   = true;
            try {
                bundle.file.read(entry.offset + from, buffer.data(), size);
                sha256_raw(buffer.data(), size, digest);
            } catch (const Failure &) {
                readable = false;
            }
            if (!readable || std::memcmp(digest, leaves.data() + 32 * i, 32) != 0) {
                std::lock_guard<std::mutex> hold(lock);
                found.push_back({entry.name, from, from + size});
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned left = limits::cpus().logical; left > 0; --left) threads.emplace_back(work);
    for (auto & thread : threads) thread.join();
    std::sort(found.begin(), found.end(), [](const auto & a, const auto & b) { return a.from < b.from; });
    return found;
}

static std::vector<Damage> damage_of(const Bundle & bundle, const Entry & entry) {
    if (entry.chunk > 0) return damaged_chunks(bundle, entry);
    try {
        bundle.read(entry);
        return {};
    } catch (const Failure &) {
        return {{entry.name, 0, entry.size}};
    }
}

static std::vector<Damage> all_damage(const Bundle * bundle) {
    std::vector<Damage> all;
    std::vector<uint8_t> program(bundle->manifest.program_size);
    bundle->file.read(0, program.data(), program.size());
    if (sha256_hex(program.data(), program.size()) != bundle->manifest.program_sha256) {
        all.push_back({"(program)", 0, bundle->manifest.program_size});
    }
    for (const auto & entry : bundle->manifest.entries) {
        const auto found = damage_of(*bundle, entry);
        all.insert(all.end(), found.begin(), found.end());
    }
    return all;
}

static nlohmann::json to_json(const AnswerCheck & check) {
    return {{"same_tokens", check.same_tokens}, {"tokens", check.tokens},         {"differs_at", check.differs_at},
            {"largest_logit_difference", check.largest}, {"cpu_module", check.cpu_module}, {"recorded_cpu_module", check.recorded_module}};
}

static void print(const AnswerCheck & check) {
    if (check.same_tokens) {
        std::printf("ok: the %zu tokens of its recorded answers came out again", check.tokens);
    } else {
        std::printf("answers differ: token %zu of %zu is another", check.differs_at + 1, check.tokens);
    }
    std::printf("; logits differ by at most %.3g (CPU module %s, recorded with %s)\n", check.largest, check.cpu_module.c_str(),
                check.recorded_module.c_str());
}

int verify(const Bundle * bundle, Args user) {
    const bool as_json = take_flag(user, {"--json"});
    const bool answers = take_flag(user, {"--answers"});
    if (!bundle) throw Failure(EXIT_INPUT, "this is a bare runtime: there is nothing to verify");
    if (!user.empty() && !answers) throw Failure(EXIT_USAGE, "verify takes no argument " + user[0]);

    const std::vector<Damage> all = all_damage(bundle);
    std::optional<AnswerCheck> check;
    if (answers && all.empty()) check = check_answers(*bundle, user);
    const bool good = all.empty() && (!check || check->same_tokens);
    if (as_json) {
        auto damaged = nlohmann::json::array();
        for (const auto & d : all) damaged.push_back({{"entry", d.entry}, {"from", d.from}, {"to", d.to}});
        nlohmann::json document{{"ok", good}, {"entries", bundle->manifest.entries.size()}, {"damaged", damaged}};
        if (check) document["answers"] = to_json(*check);
        std::puts(document.dump().c_str());
    } else if (all.empty()) {
        std::printf("ok: the program and %zu entries are as they were built\n", bundle->manifest.entries.size());
    } else {
        for (const auto & d : all) {
            std::printf("damaged: %s, bytes %llu to %llu\n", printable(d.entry).c_str(), (unsigned long long) d.from, (unsigned long long) d.to);
        }
        std::fprintf(stderr, "error: %zu part(s) of this executable are damaged\nhint: download it again\n", all.size());
    }
    if (check && !as_json) print(*check);
    return good ? EXIT_DONE : EXIT_NO;
}

}  // namespace ingot::verbs
