// std::random_device from the getrandom system call. libc++ for this target opens
// /dev/urandom instead and throws where there is none, as in a chroot with only libc.
// Defining all its members here keeps the library's own from being linked.
#if defined(__linux__)
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sys/random.h>

_LIBCPP_BEGIN_NAMESPACE_STD

random_device::random_device(const string &) {}

random_device::~random_device() {}

unsigned random_device::operator()() {
    unsigned value;
    ssize_t  done;
    do {
        done = getrandom(&value, sizeof value, 0);
    } while (done < 0 && errno == EINTR);
    if (done != (ssize_t) sizeof value) {
        std::perror("getrandom");
        std::abort();
    }
    return value;
}

double random_device::entropy() const noexcept { return 8 * sizeof(unsigned); }

_LIBCPP_END_NAMESPACE_STD
#endif
