#include "engine_params.h"

#include "engine/words.h"
#include "error.h"

namespace ingot {

common_params parse_engine(const Bundle * bundle, llama_example verb, const Args & extra, const Args & user) {
    Args quiet = extra;
    quiet.insert(quiet.end(), {"-lv", "1"});
    Args args = compose(bundle, verb, quiet, user);
    auto argv = as_argv(args);
    common_params params;
    common_init();
    if (!common_params_parse((int) args.size(), argv.data(), params, verb)) throw not_accepted();
    llama_backend_init();
    llama_numa_init(params.numa);
    return params;
}

}  // namespace ingot
