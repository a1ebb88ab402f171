// The engine's parameters for a server, and what no argument can tell them.
#pragma once

#include "../args.h"
#include "../bundle.h"
#include "common.h"

namespace ingot {

struct ServerRequest {
    const Bundle * bundle;     // whose model is served; nullptr for another's or for a router
    Args           args;       // the composed argument vector
    bool           loud;       // the engine's log was asked for
};

// Starts the engine and parses. Throws Failure for what cannot be served: an empty API key, TLS.
common_params server_params(ServerRequest & request);

// Throws Failure when one of the addresses cannot be listened on.
void need_addresses(const common_params & params);

}  // namespace ingot
