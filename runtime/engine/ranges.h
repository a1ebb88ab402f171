// Which values the engine's numeric options take. Its own parser takes any number, and some of them end in an
// assertion or a crash later.
#pragma once

#include <string>

namespace ingot {

// Why `text` is no value of the option with that first spelling, as a phrase that follows its name:
// "takes a whole number from 1 to 256, not '0'". "" when it is one, or the option takes no number.
// `whole` is whether the engine reads it as an integer.
std::string range_problem(const std::string & option, const std::string & text, bool whole);

// The same for llama-bench, whose options take lists ("512,1024") and ranges ("1-8").
std::string bench_range_problem(const std::string & option, const std::string & text);

}  // namespace ingot
