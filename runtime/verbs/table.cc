#include "table.h"

#include "verbs.h"

namespace ingot {

Verbs verbs_of_executables() {
    return {{"chat", verbs::chat},           {"serve", verbs::serve},         {"complete", verbs::complete},
            {"embed", verbs::embed},         {"bench", verbs::bench},         {"perplexity", verbs::perplexity},
            {"tokenize", verbs::tokenize},   {"info", verbs::info},           {"verify", verbs::verify},
            {"extract", verbs::extract},     {"licenses", verbs::licenses},   {"sbom", verbs::sbom},
            {"recipe", verbs::recipe},       {"version", verbs::version},     {"help", verbs::help},
            {"kernels", verbs::kernels},     {"recompile", verbs::recompile}, {"doctor", verbs::doctor},
            {"trace", verbs::trace},         {"check-model", verbs::check_model}, {"check-args", verbs::check_args}};
}

}  // namespace ingot
