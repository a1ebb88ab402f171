// The numbers behind a model's answers, for ingot compare.
#include "../trace.h"

#include <cstdio>
#include <fstream>

#include "../engine_params.h"
#include "../error.h"
#include "verbs.h"

namespace ingot::verbs {

using nlohmann::json;

int trace(const Bundle * bundle, Args user) {
    const Args jobs = take_values(user, {"--job"});
    if (jobs.size() != 1) throw Failure(EXIT_USAGE, "trace needs a job", "give a JSON file with --job FILE");
    std::ifstream file(jobs[0], std::ios::binary);
    if (!file) throw Failure(EXIT_INPUT, "cannot read " + jobs[0]);
    try {
        const json job = json::parse(file);
        // One sequence, and a context no longer than asked for: nothing here needs more.
        common_params params = parse_engine(bundle, LLAMA_EXAMPLE_COMPLETION, {"-np", "1", "-b", "512"}, user);
        const json answer = ingot::trace(params, job);
        std::puts(answer.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    } catch (const json::exception & error) {
        throw Failure(EXIT_INPUT, jobs[0] + " is not a job: " + error.what());
    }
    llama_backend_free();
    return EXIT_DONE;
}

}  // namespace ingot::verbs
