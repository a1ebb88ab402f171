// Judges values of the engine's options before the engine sees them: numbers by their ranges, the rest by the
// engine's own handlers, files by whether they can be read.
#pragma once

#include "options.h"

namespace ingot {

// Throws Failure for the first word that `verb` does not take: EXIT_USAGE for an unknown option, a missing or a bad
// value, EXIT_INPUT for a file that cannot be read. `from` is where the words stand, for the hint: "" for the
// command line, else e.g. "the executable's own defaults".
void judge_words(llama_example verb, const Args & args, const std::string & from = "");

// Why an option of `verb`, known by its first spelling `name`, does not take `values`, as a phrase that follows its
// name: "takes a whole number from 1 to 256, not '0'". "" when it does.
std::string value_problem(llama_example verb, const std::string & name, const common_arg & option, const Args & values);

// Whether a list separated by commas names nothing: what a script's empty variables leave of "$KEY,$OTHER".
bool is_empty_list(const std::string & text);

// The same for variables of the environment that options of `verb` read.
void judge_environment(llama_example verb);

// The same for the files of settings that every program of llama.cpp reads.
void judge_settings(llama_example verb);

// For llama-bench, which has a parser of its own.
void judge_bench(const Args & args);

}  // namespace ingot
