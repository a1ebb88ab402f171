// The program in executables.
#include "../verbs/table.h"

namespace ingot {

const Verbs & own_verbs() {
    static const Verbs verbs = verbs_of_executables();
    return verbs;
}

}  // namespace ingot
