// Stands in for the header that upstream generates around its embedded web page: the same
// three functions, answered from the bundle's ui/ entries (ui.cc). First on the include
// path of the engine's server (native/CMakeLists.txt).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#define LLAMA_UI_HAS_ASSETS 1

struct llama_ui_asset {
    std::string           name;  // path below the server's root
    const unsigned char * data;  // gzip, or as it is
    std::size_t           size;  // bytes
    std::string           etag;
    std::string           type;  // MIME
};

// `accepted` is a request's Accept-Encoding. Who does not take gzip gets the same page unpacked.
bool                                ingot_ui_use_gzip(const std::string & accepted);
const llama_ui_asset *              ingot_ui_find_asset(const std::string & name, const std::string & accepted);
const std::vector<llama_ui_asset> & llama_ui_get_assets();

// The engine asks two of its functions within a handler of a request `req` and its answer `res`, and
// would refuse a request without gzip. Caches must keep the two forms apart.
#define INGOT_ACCEPTED req.get_header_value("Accept-Encoding")
#define llama_ui_use_gzip() ingot_ui_use_gzip(INGOT_ACCEPTED)
#define llama_ui_find_asset(name) (res.set_header("Vary", "Accept-Encoding"), ingot_ui_find_asset(name, INGOT_ACCEPTED))
