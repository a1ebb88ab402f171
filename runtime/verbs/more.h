// Verbs that only one of the two programs has: the one in executables has none, the builder's own
// (tools/) has those that make models.
#pragma once

#include <map>
#include <string>

#include "../args.h"

namespace ingot {

const std::map<std::string, int (*)(const Bundle *, Args)> & more_verbs();

}  // namespace ingot
