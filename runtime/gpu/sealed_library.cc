#include "sealed_library.h"

#include <dlfcn.h>

namespace ingot::gpu {

void * load_sealed(const os::SealedFile & library, const char * symbol, std::string & why) {
    void * handle = dlopen(library.path().c_str(), RTLD_NOW | RTLD_LOCAL);
    void * found  = handle ? dlsym(handle, symbol) : nullptr;
    if (!found) {
        const char * error = dlerror();
        why = error ? error : "it cannot be loaded";
    }
    return found;
}

}  // namespace ingot::gpu
