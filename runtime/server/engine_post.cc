#define post ingot_http_post
#include "engine_post.h"

void ingot::engine_post(const server_http_context & server, const std::string & path,
                        const server_http_context::handler_t & handler) {
    server.ingot_http_post(path, handler);
}
