#include "ranges.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <map>

namespace ingot {

struct Range {
    double       least, most;
    bool         whole = true;
    const char * word  = "";   // a word that is taken as well
    const char * other = "";   // and another
};

static constexpr double MANY      = 2147483647;  // the engine reads an int
static constexpr double UNBOUNDED = HUGE_VAL;
static constexpr double THREADS   = 512;         // GGML_MAX_N_THREADS
static constexpr double LAYERS    = 512;         // LLAMA_MAX_LAYERS
static constexpr double SEQUENCES = 256;         // LLAMA_MAX_SEQ
static constexpr double WINDOW    = 16777216;    // the engine sets memory for that many tokens aside at once

// By the option's first spelling. An integer option that is not here takes what an int holds.
static const std::map<std::string, Range> RANGES = {
    {"-t", {-1, THREADS}},
    {"-tb", {-1, THREADS}},
    {"--spec-draft-threads", {-1, THREADS}},
    {"--spec-draft-threads-batch", {-1, THREADS}},
    {"--threads-http", {-1, 1024}},
    {"--prio", {-1, 3}},
    {"--prio-batch", {0, 3}},
    {"--spec-draft-prio", {0, 3}},
    {"--spec-draft-prio-batch", {0, 3}},
    {"--poll", {0, 100}},
    {"--poll-batch", {0, 100}},
    {"--spec-draft-poll", {0, 100}},
    {"--spec-draft-poll-batch", {0, 100}},
    {"--cpu-strict", {0, 1}},
    {"--cpu-strict-batch", {0, 1}},
    {"--spec-draft-cpu-strict", {0, 1}},
    {"--spec-draft-cpu-strict-batch", {0, 1}},
    {"-c", {0, MANY}},
    {"--kv-unified-per-slot", {0, MANY}},
    {"-n", {-2, MANY}},
    {"-b", {1, MANY}},
    {"-ub", {1, MANY}},
    {"--keep", {-1, MANY}},
    {"-ctxcp", {0, MANY}},
    {"-cms", {0, MANY}},
    {"-cram", {-1, MANY}},
    {"--chunks", {-1, MANY}},
    {"-ptc", {-1, MANY}},
    {"-np", {1, SEQUENCES}},  // and -1 of a server (judge.cc)
    {"-gan", {1, MANY}},
    {"-gaw", {1, MANY}},
    {"-s", {-1, 4294967295.0}},
    {"--top-k", {-1, MANY}},
    {"--repeat-last-n", {-1, WINDOW}},
    {"--dry-penalty-last-n", {-1, WINDOW}},
    {"--dry-allowed-length", {0, MANY}},
    {"--mirostat", {0, 2}},
    {"--hellaswag-tasks", {0, MANY}},
    {"--winogrande-tasks", {0, MANY}},
    {"--multiple-choice-tasks", {0, MANY}},
    {"--ppl-stride", {0, MANY}},
    {"--ppl-output-type", {0, 1}},
    {"--embd-normalize", {-1, MANY}},
    {"-ncmoe", {0, LAYERS}},
    {"--spec-draft-n-cpu-moe", {0, LAYERS}},
    {"-ncffn", {0, LAYERS}},
    {"-ngl", {-1, MANY, true, "auto", "all"}},
    {"--spec-draft-ngl", {-1, MANY, true, "auto", "all"}},
    {"-mg", {0, MANY}},
    {"-fitc", {1, MANY}},
    {"--port", {0, 65535}},
    {"-to", {0, MANY}},
    {"--sse-ping-interval", {-1, MANY}},
    {"--cache-reuse", {0, MANY}},
    {"--models-max", {0, MANY}},
    {"--reasoning-budget", {-1, MANY}},
    {"--sleep-idle-seconds", {-1, MANY}},
    {"--yarn-orig-ctx", {0, MANY}},
    {"--image-min-tokens", {-1, MANY}},
    {"--image-max-tokens", {-1, MANY}},
    {"--mtmd-batch-max-tokens", {1, MANY}},
    {"--video-timestamp-interval", {0, MANY}},
    {"--spec-draft-n-max", {0, 1024}},
    {"--spec-draft-n-min", {0, 1024}},
    {"--spec-ngram-mod-n-min", {0, 1024}},
    {"--spec-ngram-mod-n-max", {0, 1024}},
    {"--spec-ngram-mod-n-match", {1, 1024}},
    {"--spec-ngram-simple-size-n", {1, 1024}},
    {"--spec-ngram-simple-size-m", {1, 1024}},
    {"--spec-ngram-map-k-size-n", {1, 1024}},
    {"--spec-ngram-map-k-size-m", {1, 1024}},
    {"--spec-ngram-map-k4v-size-n", {1, 1024}},
    {"--spec-ngram-map-k4v-size-m", {1, 1024}},
    {"--temp", {0, UNBOUNDED, false}},
    {"--top-p", {0, 1, false}},
    {"--min-p", {0, 1, false}},
    {"--typical", {0, 1, false}},
    {"--top-nsigma", {-1, UNBOUNDED, false}},
    {"--xtc-probability", {0, 1, false}},
    {"--xtc-threshold", {0, 1, false}},
    {"--repeat-penalty", {0, UNBOUNDED, false}},
    {"--presence-penalty", {-UNBOUNDED, UNBOUNDED, false}},
    {"--frequency-penalty", {-UNBOUNDED, UNBOUNDED, false}},
    {"--dry-multiplier", {0, UNBOUNDED, false}},
    {"--dry-base", {0, UNBOUNDED, false}},
    {"--adaptive-target", {-UNBOUNDED, 1, false}},
    {"--adaptive-decay", {0, 0.99, false}},
    {"--dynatemp-range", {0, UNBOUNDED, false}},
    {"--dynatemp-exp", {0, UNBOUNDED, false}},
    {"--mirostat-lr", {0, UNBOUNDED, false}},
    {"--mirostat-ent", {0, UNBOUNDED, false}},
    {"--rope-scale", {0, UNBOUNDED, false}},
    {"--rope-freq-base", {0, UNBOUNDED, false}},
    {"--rope-freq-scale", {0, UNBOUNDED, false}},
    {"--yarn-ext-factor", {-UNBOUNDED, UNBOUNDED, false}},
    {"--yarn-attn-factor", {-UNBOUNDED, UNBOUNDED, false}},
    {"--yarn-beta-slow", {-UNBOUNDED, UNBOUNDED, false}},
    {"--yarn-beta-fast", {-UNBOUNDED, UNBOUNDED, false}},
    {"-sps", {0, 1, false}},
    {"--video-fps", {0, UNBOUNDED, false}},
    {"--spec-draft-p-split", {0, 1, false}},
    {"--spec-draft-p-min", {0, 1, false}},
};

static std::string shown(double number) {
    std::string text = std::to_string(number);
    if (number == std::floor(number)) return text.substr(0, text.find('.'));
    return text.erase(text.find_last_not_of('0') + 1);
}

static std::string described(const Range & range) {
    std::string text = range.whole ? "a whole number" : "a number";
    if (range.least > -UNBOUNDED && range.most < MANY) text += " from " + shown(range.least) + " to " + shown(range.most);
    else if (range.most == 4294967295.0) text += " from " + shown(range.least) + " to " + shown(range.most);
    else if (range.least > -MANY) text += " that is at least " + shown(range.least);
    else if (range.most < UNBOUNDED && range.most != MANY) text += " that is at most " + shown(range.most);
    for (const char * word : {range.word, range.other}) text += *word ? std::string(" or ") + word : "";
    return text;
}

// All of `text` as a number, decimal as in every locale; NaN when it is none.
static double number_in(const std::string & text, bool whole) {
    if (text.empty() || text.find_first_not_of(whole ? "+-0123456789" : "+-.0123456789eE") != std::string::npos) return NAN;
    char * end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    return *end == '\0' && std::isfinite(number) ? number : NAN;
}

static std::string problem(const Range & range, const std::string & text) {
    const bool word = (*range.word && text == range.word) || (*range.other && text == range.other);
    const double number = number_in(text, range.whole);
    if (word || (number >= range.least && number <= range.most)) return "";  // false for NaN
    return "takes " + described(range) + ", not '" + text + "'";
}

std::string range_problem(const std::string & option, const std::string & text, bool whole) {
    const auto known = RANGES.find(option);
    if (known != RANGES.end()) return problem(known->second, text);
    return whole ? problem({-MANY - 1, MANY}, text) : "";
}

// Least value of each item of a list.
static const std::map<std::string, double> BENCH_LEAST = {
    {"-p", 0}, {"--n-prompt", 0}, {"-n", 0}, {"--n-gen", 0},      {"-d", 0}, {"--n-depth", 0}, {"-b", 1},    {"--batch-size", 1},
    {"-ub", 1}, {"--ubatch-size", 1}, {"-t", 1}, {"--threads", 1}, {"-r", 1}, {"--repetitions", 1}, {"--delay", 0}, {"-ngl", -1},
    {"--n-gpu-layers", -1}, {"-mg", 0}, {"--main-gpu", 0}, {"--poll", 0}, {"--prio", -1}, {"-pg", 0}};

std::string bench_range_problem(const std::string & option, const std::string & text) {
    const auto known = BENCH_LEAST.find(option);
    if (known == BENCH_LEAST.end()) return "";
    const bool threads = option == "-t" || option == "--threads";
    const Range range{known->second, threads ? THREADS : MANY};
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.size(), text.find(',', at));
        std::string item = text.substr(at, end - at);
        // "1-8", "1-8+2", "1-8*2": each part on its own
        for (size_t from = 0; from <= item.size();) {
            const size_t to = std::min(item.size(), item.find_first_of("-+*", from + 1));
            if (const std::string why = problem(range, item.substr(from, to - from)); !why.empty()) return why;
            from = to + 1;
        }
        at = end + 1;
    }
    return "";
}

}  // namespace ingot
