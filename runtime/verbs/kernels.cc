// The kernel set of the carried model or of another one: what a GPU module must offer for it.
#include <cstdio>

#include "../engine/words.h"
#include "../error.h"
#include "../kernel_set.h"
#include "common.h"
#include "verbs.h"

namespace ingot::verbs {

static std::string joined(const std::set<std::string> & words) {
    std::string text;
    for (const auto & word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

static std::string joined(const std::set<TypePair> & pairs, const char * between) {
    std::string text;
    for (const auto & [from, to] : pairs) text += (text.empty() ? "" : ", ") + from + between + to;
    return text;
}

static void row(const std::string & label, const std::string & value) {
    std::printf("%-12s %s\n", label.c_str(), value.empty() ? "-" : value.c_str());
}

static void print(const KernelSet & set) {
    row("ops", joined(set.ops));
    for (const auto & [op, types] : set.source_types) row(op, joined(types));
    for (const auto & [op, pairs] : set.copies) row(op, joined(pairs, " to "));
    row("KV types", joined(set.kv_types, "/"));
    std::string heads;
    for (const auto & [k, v, queries] : set.attention) {
        heads += (heads.empty() ? "" : ", ") + std::to_string(k) + "/" + std::to_string(v) + " x " + std::to_string(queries);
    }
    row("attention", heads);
    for (const auto & [type, share] : set.weights) {
        std::printf("%-12s %8llu tensors %16llu bytes\n", type.c_str(), (unsigned long long) share.count,
                    (unsigned long long) share.bytes);
    }
}

// The model and the cache types that the server would take from these arguments.
static common_params parse(const Bundle * bundle, const Args & user) {
    Args args = compose(bundle, LLAMA_EXAMPLE_SERVER, {"-lv", "1"}, user);
    auto argv = as_argv(args);
    common_params params;
    common_init();
    if (!common_params_parse((int) args.size(), argv.data(), params, LLAMA_EXAMPLE_SERVER)) throw not_accepted();
    return params;
}

int kernels(const Bundle * bundle, Args user) {
    const bool as_json = take_flag(user, {"--json"});
    const common_params params = parse(bundle, user);
    std::vector<CacheTypes> caches{CacheTypes{}};
    const CacheTypes asked{params.cache_type_k, params.cache_type_v};
    if (asked.k != caches[0].k || asked.v != caches[0].v) caches.push_back(asked);

    const KernelSet set = kernel_set_of(params.model.path, caches, wants_log(user));
    if (as_json) std::puts(to_json(set).dump().c_str());
    else print(set);
    return EXIT_DONE;
}

}  // namespace ingot::verbs
