#include "responses.h"

#include "engine_post.h"

static bool like_llamafile = false;

void ingot::answer_like_llamafile() { like_llamafile = true; }

// The engine counts a text longer than its batch as a fault of its own. It is the client's to
// shorten, and clients try a 500 again.
json ingot_error_response(const std::string & message, error_type type) {
    const bool too_long = type == ERROR_TYPE_SERVER && message.find("is too large to process") != std::string::npos;
    return format_error_response(message, too_long ? ERROR_TYPE_INVALID_REQUEST : type);
}

static bool asks_for_several(const json & body) {
    const json & texts = body.contains("input") ? body.at("input") : body.at("content");
    return texts.is_array() && !json_is_array_and_contains_numbers(texts);
}

// {"embedding": [...]} for one text, {"results": [{"embedding": [...]}, ...]} for a list of them, out of
// the engine's [{"index": 0, "embedding": [[...]]}, ...]. Anything else stays.
static void reshape(const server_http_req & request, server_http_res & answer) {
    if (answer.status != 200 || answer.is_stream()) return;
    const json list = json::parse(answer.data);
    if (!list.is_array() || list.empty()) return;
    json results = json::array();
    for (const json & row : list) {
        const json & vectors = row.at("embedding");
        if (vectors.size() != 1) return;
        results.push_back({{"embedding", vectors.at(0)}});
    }
    const bool several = asks_for_several(json::parse(request.body));
    answer.data = safe_json_to_str(several ? json{{"results", results}} : results.at(0));
}

static server_http_context::handler_t reshaped(server_http_context::handler_t handler) {
    return [handler = std::move(handler)](const server_http_req & request) {
        server_http_res_ptr answer = handler(request);
        if (answer) reshape(request, *answer);
        return answer;
    };
}

void server_http_context::post(const std::string & path, const handler_t & handler) const {
    ingot::engine_post(*this, path, like_llamafile && path == "/embedding" ? reshaped(handler) : handler);
}
