#include "answers.h"

#include <algorithm>
#include <cmath>

#include "engine_params.h"
#include "error.h"
#include "trace.h"

namespace ingot {

using nlohmann::json;

// A step is a list of [token, logit], best first. Only candidates that both have are compared: the
// others are at least as far down here as the last one that was recorded.
static double largest_difference(const json & recorded, const json & now) {
    double largest = 0;
    for (const auto & one : recorded) {
        const auto same = std::find_if(now.begin(), now.end(), [&](const json & other) { return other.at(0) == one.at(0); });
        if (same != now.end()) largest = std::max(largest, std::fabs(same->at(1).get<double>() - one.at(1).get<double>()));
    }
    return largest;
}

static void compare(AnswerCheck & check, const json & recorded, const json & now) {
    const auto & then = recorded.at("tokens");
    const auto & here = now.at("tokens");
    for (size_t i = 0; i < then.size() && check.same_tokens; ++i) {
        check.largest = std::max(check.largest, largest_difference(recorded.at("steps").at(i), now.at("steps").at(std::min(i, here.size() - 1))));
        if (i < here.size() && here[i] == then[i]) continue;
        check.same_tokens = false;
        check.differs_at  = check.tokens + i;
    }
    check.tokens += then.size();
}

AnswerCheck check_answers(const Bundle & bundle, const Args & user) {
    const auto record = bundle.manifest.document.find("answers");
    if (record == bundle.manifest.document.end()) {
        throw Failure(EXIT_INPUT, "this executable has no record of its answers", "its author makes one with: ingot build … --fingerprint");
    }
    AnswerCheck check;
    try {
        json prompts = json::array();
        for (const auto & one : record->at("greedy")) prompts.push_back(one.at("prompt"));
        const json job = {{"greedy", {{"prompts", prompts}, {"tokens", record->at("greedy").at(0).at("tokens").size()}, {"top", record->at("top")}}}};
        common_params params = parse_engine(&bundle, LLAMA_EXAMPLE_COMPLETION, record->at("args").get<Args>(), user);
        const json now = trace(params, job);
        check.same_tokens     = true;
        check.cpu_module      = now.at("model").at("cpu_module").get<std::string>();
        check.recorded_module = record->at("cpu_module").get<std::string>();
        for (size_t i = 0; i < now.at("greedy").size(); ++i) compare(check, record->at("greedy").at(i), now.at("greedy").at(i));
    } catch (const json::exception & error) {
        throw Failure(EXIT_INTEGRITY, std::string("the record of answers cannot be read: ") + error.what());
    }
    return check;
}

}  // namespace ingot
