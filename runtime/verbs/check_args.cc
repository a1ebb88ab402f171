// For the builder: whether arguments can be baked into an executable.
#include <fstream>

#include <nlohmann/json.hpp>

#include "../judge/args.h"
#include "../error.h"
#include "../gpu/options.h"
#include "verbs.h"

namespace ingot::verbs {

// The arguments come as a JSON array in a file, so that none of them is taken for this program's own.
static Args read_words(const Args & user) {
    if (user.size() != 1) throw Failure(EXIT_USAGE, "check-args takes one file");
    std::ifstream file(user[0]);
    try {
        return nlohmann::json::parse(file).get<Args>();
    } catch (const nlohmann::json::exception &) {
        throw Failure(EXIT_INPUT, user[0] + " holds no JSON array of strings");
    }
}

int check_args(const Bundle *, Args user) {
    const Args words = read_words(user);
    judge_default_args(words);
    Args nothing;
    gpu::take_options(nothing, words);
    return EXIT_DONE;
}

}  // namespace ingot::verbs
