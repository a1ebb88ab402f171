// What a model computes, as numbers. See docs/reference/trace.md for the job and the answer.
#pragma once

#include <nlohmann/json.hpp>

#include "common.h"

namespace ingot {

// Runs the parts of `job` with a model and a context made from `params`. Throws Failure, and
// json::exception for a job that is not as documented.
nlohmann::json trace(common_params & params, const nlohmann::json & job);

}  // namespace ingot
