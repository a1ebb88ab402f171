#include "hub.h"

#include "common.h"
#include "download.h"
#include "error.h"

namespace ingot::hub {

static const char * const NO_TLS = "there is no TLS in this program: fetch the GGUF by other means and name it with -m FILE.gguf";

static bool is_plain(const std::string & url) { return url.rfind("http://", 0) == 0; }

bool reachable() { return is_plain(common_get_model_endpoint()); }

static bool is_cached(const std::string & repository, const std::string & file) {
#ifdef INGOT_INSTRUMENT  // not every engine can tell
    return true;
#else
    return !common_download_resolve_path(repository, file).empty();
#endif
}

void need(const std::string & repository, const std::string & file) {
    const size_t slash = repository.find('/');
    if (slash == std::string::npos || slash == 0 || repository.find('/', slash + 1) != std::string::npos) {
        throw Failure(EXIT_USAGE, "a repository is named USER/MODEL or USER/MODEL:QUANT, not '" + repository + "'", "for example: -hf ggml-org/gemma-3-270m-GGUF");
    }
    if (reachable() || is_cached(repository, file)) return;
    const std::string what = file.empty() ? repository : file + " of " + repository;
    throw Failure(EXIT_INPUT, what + " is not in the Hugging Face cache", NO_TLS);
}

void need_address(const std::string & url) {
    if (!is_plain(url)) throw Failure(EXIT_INPUT, url + " cannot be fetched", NO_TLS);
}

}  // namespace ingot::hub
