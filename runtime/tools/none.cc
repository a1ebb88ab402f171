// What executables have beside the usual verbs: nothing.
#include "../verbs/more.h"

namespace ingot {

const std::map<std::string, int (*)(const Bundle *, Args)> & more_verbs() {
    static const std::map<std::string, int (*)(const Bundle *, Args)> none;
    return none;
}

}  // namespace ingot
