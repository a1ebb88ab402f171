// Quantising and importance matrices: upstream's tools with upstream's arguments, in a program that
// the builder uses and no executable carries.
#include "../verbs/table.h"

int llama_quantize(int argc, char ** argv);
// tools/imatrix/imatrix.cpp, whose main() a compile definition renames (native/CMakeLists.txt).
int ingot_imatrix(int argc, char ** argv);

namespace ingot {

template <int (*tool)(int, char **)>
static int call(const Bundle *, Args user) {
    user.insert(user.begin(), "ingot-tools");
    auto argv = as_argv(user);
    return tool((int) user.size(), argv.data());
}

const Verbs & own_verbs() {
    static const Verbs verbs = [] {
        Verbs all = verbs_of_executables();
        all.insert({{"quantize", call<llama_quantize>}, {"imatrix", call<ingot_imatrix>}});
        return all;
    }();
    return verbs;
}

}  // namespace ingot
