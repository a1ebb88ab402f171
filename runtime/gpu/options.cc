#include "options.h"

#include <set>

#include "../error.h"

namespace ingot::gpu {

static const std::set<std::string> KINDS = {"auto", "nvidia", "amd", "apple", "vulkan", "none"};

static std::string last(const Args & values) { return values.empty() ? "" : values.back(); }

// The author's defaults: what the command line says wins over each of them.
static Options defaults_of(Args baked, const Args & user) {
    Options found;
    if (const Args kinds = take_values(baked, {"--gpu"}); !kinds.empty()) found.kind = kinds.back();
    const bool other_kind = has_flag(user, {"--gpu"});
    found.require   = take_flag(baked, {"--require-gpu"}) && !other_kind;
    found.nocompile = take_flag(baked, {"--nocompile"}) && !has_flag(user, {"--recompile", "--iq"});
    return found;
}

Options take_options(Args & args, const Args & baked) {
    Options found = defaults_of(baked, args);
    if (const Args kinds = take_values(args, {"--gpu"}); !kinds.empty()) found.kind = kinds.back();
    if (!KINDS.count(found.kind)) {
        throw Failure(EXIT_USAGE, "--gpu " + found.kind + ": there is no such kind", "one of auto, nvidia, amd, apple, vulkan, none");
    }
    if (const Args places = take_values(args, {"--cache-dir"}); !places.empty()) found.cache_dir = places.back();
    found.tools.nvcc    = last(take_values(args, {"--nvcc"}));
    found.tools.hipcc   = last(take_values(args, {"--hipcc"}));
    found.tools.host_compiler = last(take_values(args, {"--host-compiler"}));
    found.require   = take_flag(args, {"--require-gpu"}) || found.require;
    found.nocompile = take_flag(args, {"--nocompile"}) || found.nocompile;
    // A module is always made for the types that the model has; --iq, which llamafile needs to keep
    // IQ types, asks for a module to be made.
    const bool iq = take_flag(args, {"--iq"});
    found.recompile = take_flag(args, {"--recompile"}) || iq;
    if (found.recompile) found.force = take_flag(args, {"--force"});
    if (found.recompile && found.nocompile) throw Failure(EXIT_USAGE, "--recompile and --nocompile contradict each other");
    if (found.require && found.kind == "none") throw Failure(EXIT_USAGE, "--require-gpu and --gpu none contradict each other");
    return found;
}

static Options current;
const Options & options() { return current; }
void set_options(Options options) { current = std::move(options); }

}  // namespace ingot::gpu
