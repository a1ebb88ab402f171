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
    const unsigned char * data;  // gzip
    std::size_t           size;  // bytes
    std::string           etag;
    std::string           type;  // MIME
};

const llama_ui_asset *              llama_ui_find_asset(const std::string & name);
bool                                llama_ui_use_gzip();
const std::vector<llama_ui_asset> & llama_ui_get_assets();
