// Models of the Hugging Face Hub. There is no TLS in this program, so that what the cache has not, only an
// endpoint that speaks plain http can give.
#pragma once

#include <string>

namespace ingot::hub {

// True when the endpoint (MODEL_ENDPOINT, HF_ENDPOINT) speaks plain http.
bool reachable();

// Throws Failure when `repository` ("org/name" or "org/name:QUANT"), or `file` of it if not empty, is
// neither in the cache nor to be fetched.
void need(const std::string & repository, const std::string & file);

// Throws Failure for an address that only TLS can reach.
void need_address(const std::string & url);

}  // namespace ingot::hub
