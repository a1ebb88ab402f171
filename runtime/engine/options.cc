#include "options.h"

#include <algorithm>

namespace ingot {

// Flags that the engine does not know, and those of them that their verbs take with a value.
static const char * const OWN_ALONE[] = {"--deterministic", "--llamafile", "--nocompile", "--recompile", "--require-gpu"};
static const char * const OWN_WITH_VALUE[] = {"--gpu",  "--cache-dir", "--nvcc", "--hipcc", "--host-compiler", "--arch",
                                              "--jobs", "--sources",   "--job",  "-o",      "--output"};

const std::vector<common_arg> & options_of(llama_example verb) {
    static std::map<llama_example, std::vector<common_arg>> made;
    const auto known = made.find(verb);
    if (known != made.end()) return known->second;
    common_params params;  // only its defaults are read, for the help texts
    return made[verb] = common_params_parser_init(params, verb).options;
}

static std::map<std::string, Flag> flags_in(const std::vector<common_arg> & options) {
    std::map<std::string, Flag> flags;
    for (const common_arg & option : options) {
        const size_t values = option.value_hint_2 ? 2 : option.value_hint ? 1 : 0;
        for (const char * spelling : option.args) flags[spelling] = {values, &option};
        for (const char * spelling : option.args_neg) flags[spelling] = {0, &option};
    }
    return flags;
}

const std::map<std::string, Flag> & flags_of(llama_example verb) {
    static std::map<llama_example, std::map<std::string, Flag>> made;
    const auto known = made.find(verb);
    return known != made.end() ? known->second : made[verb] = flags_in(options_of(verb));
}

std::string Group::name() const {
    if (!option) return "";
    return !option->args.empty() ? option->args.front() : option->args_neg.front();
}

std::string spelled(std::string word) {
    if (word.rfind("--", 0) == 0) std::replace(word.begin(), word.end(), '_', '-');
    return word;
}

std::vector<Group> grouped(llama_example verb, const Args & args) {
    const auto & flags = flags_of(verb);
    std::vector<Group> groups;
    for (size_t i = 0; i < args.size();) {
        const auto flag = flags.find(spelled(args[i]));
        size_t end = i + 1;
        if (flag != flags.end()) {
            end = std::min(args.size(), end + flag->second.values);
        } else {
            while (end < args.size() && (args[end].empty() || args[end][0] != '-')) ++end;
        }
        groups.push_back({flag == flags.end() ? nullptr : flag->second.option, Args(args.begin() + (long) i, args.begin() + (long) end)});
        i = end;
    }
    return groups;
}

static const std::map<std::string, size_t> & values_by_flag() {
    static const auto counts = [] {
        std::map<std::string, size_t> made;
        for (const auto verb : {LLAMA_EXAMPLE_SERVER, LLAMA_EXAMPLE_CLI, LLAMA_EXAMPLE_COMPLETION, LLAMA_EXAMPLE_EMBEDDING, LLAMA_EXAMPLE_PERPLEXITY}) {
            for (const auto & [spelling, flag] : flags_of(verb)) made[spelling] = flag.values;
        }
        for (const char * own : OWN_WITH_VALUE) made[own] = 1;
        return made;
    }();
    return counts;
}

// Insertions, deletions and substitutions between two words.
static size_t distance(const std::string & a, const std::string & b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t corner = row[0]++;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t changed = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
        }
    }
    return row.back();
}

static std::string nearest(const std::string & word, const std::map<std::string, size_t> & flags) {
    std::string best;
    size_t least = std::clamp<size_t>(word.size() / 3, 1, 2) + 1;
    for (const auto & [flag, values] : flags) {
        const size_t away = distance(flag, word);
        if (away < least && away + 1 < flag.size()) best = flag, least = away;
    }
    return best;
}

std::string hint_for_unknown(const std::string & word, std::map<std::string, size_t> flags) {
    for (const char * own : OWN_ALONE) flags[own] = 0;
    for (const char * own : OWN_WITH_VALUE) flags[own] = 1;
    const size_t end = word.find_first_of("= ");
    const std::string name = spelled(word.substr(0, end));
    if (const auto flag = flags.find(name); end != std::string::npos && flag != flags.end()) {
        return "write " + name + (flag->second ? " " + word.substr(end + 1) : "");
    }
    const std::string near = nearest(name, flags);
    return near.empty() ? "" : "did you mean " + near + "?";
}

std::vector<bool> are_values(const Args & args) {
    const auto & counts = values_by_flag();
    std::vector<bool> value(args.size());
    for (size_t i = 0; i < args.size(); ++i) {
        const auto flag = counts.find(spelled(args[i]));
        for (size_t left = flag == counts.end() ? 0 : flag->second; left > 0 && i + 1 < args.size(); --left) value[++i] = true;
    }
    return value;
}

}  // namespace ingot
