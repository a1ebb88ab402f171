// The fingerprint of a model's answers: what it said, and how sure it was, where it was built.
#pragma once

#include "bundle.h"
#include "args.h"

namespace ingot {

// How a run on this machine compares with the manifest's record.
struct AnswerCheck {
    bool        same_tokens = false;  // every greedy token is the recorded one
    size_t      tokens      = 0;      // that were recorded
    size_t      differs_at  = 0;      // the first that is another, if one is
    double      largest     = 0;      // largest difference of a recorded logit, up to there
    std::string cpu_module, recorded_module;
};

// Runs the record's prompts as they were run for it. Throws Failure when there is no record.
AnswerCheck check_answers(const Bundle & bundle, const Args & user);

}  // namespace ingot
