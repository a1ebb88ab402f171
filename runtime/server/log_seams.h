// What the engine's server reaches in place of its log (native/seams.cmake): some of its messages
// matter to everybody, and it prints them to those only who asked for its log.
#pragma once

#include <string>

#include "log.h"

int  ingot_server_log_level();
int  ingot_queue_log_level();
void ingot_server_log(common_log * log, ggml_log_level level, const char * format, ...);
void ingot_models_log(common_log * log, ggml_log_level level, const char * format, ...);
void ingot_mcp_log(common_log * log, ggml_log_level level, const char * format, ...);

namespace ingot {
void heard_from_server(const std::string & text);  // announcement.cc
}
