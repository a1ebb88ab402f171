// The program that ingot compare runs another version of the engine by: what it needs and no more, so
// that little of the engine's changing interfaces has to fit.
#include "../verbs/table.h"
#include "../verbs/verbs.h"

namespace ingot {

const Verbs & own_verbs() {
    static const Verbs verbs = {{"embed", verbs::embed}, {"trace", verbs::trace}};
    return verbs;
}

}  // namespace ingot
