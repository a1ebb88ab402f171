// The engine's parameters from a verb's command line, for verbs that are programs of ours over its
// public API.
#pragma once

#include "args.h"
#include "common.h"

namespace ingot {

// What compose() makes of the arguments, parsed by the engine, which is initialised and kept quiet.
// Throws Failure when it does not accept them.
common_params parse_engine(const Bundle * bundle, llama_example verb, const Args & extra, const Args & user);

}  // namespace ingot
