#include "log_seams.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "../printable.h"
#include "../seams.h"

using namespace ingot;

// Messages down to this level are composed, whether they are printed or not.
int ingot_server_log_level() { return std::max(common_log_get_verbosity_thold(), LOG_LEVEL_INFO); }

static bool wanted(ggml_log_level level) { return common_log_get_verbosity(level) <= common_log_get_verbosity_thold(); }

void ingot_server_log(common_log * log, ggml_log_level level, const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = formatted(format, args);
    va_end(args);
    heard_from_server(text);
    if (wanted(level)) common_log_add(log, level, "%s", text.c_str());
}

// Lines of a model's process come at the level of generated text: "[47011] error: …".
void ingot_models_log(common_log * log, ggml_log_level level, const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = formatted(format, args);
    va_end(args);
    if (level != GGML_LOG_LEVEL_NONE) return common_log_add(log, level, "%s", text.c_str());
    static const std::string ERROR = "] error: ";
    const size_t error = text.find(ERROR);
    if (wanted(GGML_LOG_LEVEL_INFO)) {
        common_log_add(log, GGML_LOG_LEVEL_INFO, "%s", text.c_str());
    } else if (error != std::string::npos) {
        const size_t from = error + ERROR.size();
        std::fprintf(stderr, "note: a model: %s\n", printable(text.substr(from, text.find('\n', from) - from)).c_str());
    }
}

// A line for those who did not ask for the log: an MCP server that does not work would otherwise
// be missing without a word.
static void tell_about_mcp(ggml_log_level level, const std::string & text, int reason) {
    const size_t at = text.find("MCP");
    if (at == std::string::npos || text.find("MCP warmup: failed") != std::string::npos) return;  // said already
    std::string line = text.substr(at, text.find('\n', at) - at);
    if (line.find("failed to spawn") != std::string::npos && reason) line += std::string(": ") + std::strerror(reason);
    const bool no_tools = line.find(" discovered 0 tools") != std::string::npos;
    if (level == GGML_LOG_LEVEL_WARN || no_tools) std::fprintf(stderr, "note: %s\n", line.c_str());
}

void ingot_mcp_log(common_log * log, ggml_log_level level, const char * format, ...) {
    const int reason = errno;  // of the start that failed, if one did
    va_list args;
    va_start(args, format);
    const std::string text = formatted(format, args);
    va_end(args);
    if (wanted(level)) common_log_add(log, level, "%s", text.c_str());
    else tell_about_mcp(level, text, reason);
}
