// The engine's options, as its own parser has them: which words of a command line are flags, and which are values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "arg.h"

namespace ingot {

using Args = std::vector<std::string>;

// Options of a verb; made once.
const std::vector<common_arg> & options_of(llama_example verb);

// A flag of an engine verb: how many values it takes, and its option.
struct Flag {
    size_t             values = 0;
    const common_arg * option = nullptr;
};
const std::map<std::string, Flag> & flags_of(llama_example verb);

// One flag with its values. Of an unknown flag the option is null, and it takes with it whatever follows
// that is no flag.
struct Group {
    const common_arg * option = nullptr;
    Args               words;

    // The option's first spelling, by which it is known; "" of an unknown one.
    std::string name() const;
};
std::vector<Group> grouped(llama_example verb, const Args & args);

// The engine takes --ctx_size for --ctx-size.
std::string spelled(std::string word);

// What a word that is no flag was most likely meant to be, of `flags` with the number of their values and of ours:
// "did you mean --temp?", "write --temp 0.25" for --temp=0.25; "" when nothing is near.
std::string hint_for_unknown(const std::string & word, std::map<std::string, size_t> flags);

// For each word of `args`: whether it is the value of the flag before it, of any verb or of ours. A prompt may read
// like a flag.
std::vector<bool> are_values(const Args & args);

}  // namespace ingot
