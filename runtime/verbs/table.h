// Which verbs a program has. Each of those in programs/ says it: what executables carry, the builder's
// own program, and the one that another engine is compared by.
#pragma once

#include <map>
#include <string>

#include "../args.h"

namespace ingot {

using Verb  = int (*)(const Bundle *, Args);
using Verbs = std::map<std::string, Verb>;

const Verbs & own_verbs();

// Those of every executable.
Verbs verbs_of_executables();

}  // namespace ingot
