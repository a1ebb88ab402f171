// Judges default arguments before a builder bakes them in, by the engine's own option tables and
// handlers: what is accepted here is accepted by every verb of the executable that knows it.
#pragma once

#include "../args.h"

namespace ingot {

// Throws Failure(EXIT_USAGE) for the first of `args` that no verb knows, whose value no verb takes,
// that names a file or another model, or that would end every command.
void judge_default_args(const Args & args);

}  // namespace ingot
