// The engine's own server_http_context::post, which native/seams.cmake gives another name in the file
// that defines it, so that every handler passes through responses.cc first.
#pragma once

#include "server-http.h"

namespace ingot {
void engine_post(const server_http_context & server, const std::string & path,
                 const server_http_context::handler_t & handler);
}
