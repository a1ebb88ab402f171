// Answers of the engine's server that Ingot gives another form.
#pragma once

#include "server-common.h"

namespace ingot {
// POST /embedding answers as llamafile's server did: {"embedding": [...]} for one text, "results" for a list.
void answer_like_llamafile();
}

// In place of format_error_response where a task has failed (server-task.cpp).
json ingot_error_response(const std::string & message, error_type type);
