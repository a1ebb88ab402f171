// Launches: what a device would refuse, the blocks one after another on a few host threads, or, of a
// cooperative launch, all of them in turns.
#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../failure.h"
#include "../interpreter.h"
#include "warp.h"

namespace emulator {

uint64_t seed() {
    static const uint64_t value = [] {
        const char * text = std::getenv("INGOT_EMULATOR_SEED");
        return text ? std::strtoull(text, nullptr, 0) : 0;
    }();
    return value;
}

static size_t thread_count() {
    static const size_t count = [] {
        const char * text = std::getenv("INGOT_EMULATOR_THREADS");
        return text ? std::max<size_t>(1, std::strtoull(text, nullptr, 0)) : 2;
    }();
    return count;
}

std::string refusal(const Launch & launch) {
    const Kernel & kernel  = *launch.kernel;
    const uint64_t threads = launch.block.count();
    const auto     number  = [](uint64_t value) { return std::to_string(value); };
    if (threads == 0 || launch.grid.count() == 0) return "an empty grid or block";
    if (launch.grid.x > 0x7fffffff || launch.grid.y > 65535 || launch.grid.z > 65535) return "a grid that is too large";
    if (launch.block.z > 64) return "a block of more than 64 threads in z";
    const uint32_t allowed = kernel.max_threads ? std::min(kernel.max_threads, launch.limits.threads_per_block)
                                                : launch.limits.threads_per_block;
    if (threads > allowed) return number(threads) + " threads in a block of at most " + number(allowed);
    const uint64_t shared = uint64_t{launch.kernel->shared_bytes()} + launch.dynamic_shared;
    if (shared > launch.limits.shared_per_block) {
        return number(shared) + " bytes of shared memory, of " + number(launch.limits.shared_per_block);
    }
    if (launch.cooperative && launch.grid.count() > launch.limits.blocks_at_once) {
        return number(launch.grid.count()) + " blocks in a cooperative launch, of " + number(launch.limits.blocks_at_once) + " at once";
    }
    return "";
}

// A kernel compiled with -ftz=true never sees subnormal floats.
class Subnormals {
public:
    explicit Subnormals(bool flushed) {
#if defined(__x86_64__)
        before_ = _mm_getcsr();
        if (flushed) _mm_setcsr(before_ | 0x8040);
#else
        (void) flushed;
#endif
    }
    ~Subnormals() {
#if defined(__x86_64__)
        _mm_setcsr(before_);
#endif
    }
    Subnormals(const Subnormals &) = delete;

private:
    unsigned before_ = 0;
};

static Size index_of(const Size & grid, uint64_t number) {
    return {static_cast<uint32_t>(number % grid.x), static_cast<uint32_t>(number / grid.x % grid.y),
            static_cast<uint32_t>(number / grid.x / grid.y)};
}

// A step that visits every block once, in an order that depends on the seed.
static uint64_t step_of(uint64_t blocks) {
    if (seed() == 0 || blocks < 3) return 1;
    uint64_t step = seed() * 0x9e3779b9ull % blocks;
    while (step == 0 || std::gcd(step, blocks) != 1) step = (step + 1) % blocks;
    return step;
}

static uint64_t executed(const Block & block) {
    uint64_t sum = 0;
    for (const auto & warp : block.warps) sum += warp.instructions;
    return sum;
}

// Large enough that only a warp that waits for another one notices.
constexpr uint64_t turn = 1000000, cooperative_turn = 2000;

static uint64_t run_blocks(const Launch & launch, const uint8_t * parameters, std::atomic<uint64_t> & next) {
    const Subnormals subnormals(launch.kernel->program().flushes_subnormals);
    const uint64_t   blocks = launch.grid.count(), step = step_of(blocks);
    Block            block(launch, parameters, 0);
    for (uint64_t number = next++; number < blocks; number = next++) {
        block.start(index_of(launch.grid, number * step % blocks));
        while (!block.is_done()) {
            if (!block.advance(turn) && !block.is_done()) block.fail_stuck();
        }
    }
    return executed(block);
}

// Like the driver's: a size, then the word that the grid's barrier counts in.
struct Workspace {
    uint32_t size = 8, barrier = 0;
};

static uint64_t run_together(const Launch & launch, const uint8_t * parameters) {
    const Subnormals subnormals(launch.kernel->program().flushes_subnormals);
    Workspace        workspace;
    const auto       address = reinterpret_cast<uint64_t>(&workspace);
    memory().add(address, sizeof workspace);
    std::vector<std::unique_ptr<Block>> blocks;
    const uint64_t count = launch.grid.count(), step = step_of(count);
    for (uint64_t number = 0; number < count; ++number) {
        blocks.push_back(std::make_unique<Block>(launch, parameters, address));
        blocks.back()->start(index_of(launch.grid, number * step % count));
    }
    for (bool alive = true; alive;) {
        alive = false;
        for (auto & block : blocks) {
            if (block->is_done()) continue;
            if (!block->advance(cooperative_turn) && !block->is_done()) block->fail_stuck();
            alive |= !block->is_done();
        }
    }
    memory().remove(address);
    uint64_t sum = 0;
    for (const auto & block : blocks) sum += executed(*block);
    return sum;
}

uint64_t run(const Launch & launch) {
    const std::string problem = refusal(launch);
    if (!problem.empty()) fail("a launch of " + launch.kernel->name + " with " + problem);
    std::vector<uint8_t> parameters(launch.kernel->parameter_bytes + 16);
    for (size_t i = 0; i < launch.kernel->parameters.size(); ++i) {
        const Parameter & parameter = launch.kernel->parameters[i];
        std::memcpy(&parameters[parameter.offset], launch.arguments[i], parameter.size);
    }
    if (launch.cooperative) return run_together(launch, parameters.data());

    std::atomic<uint64_t>    next{0}, sum{0};
    const auto               work   = [&] { sum += run_blocks(launch, parameters.data(), next); };
    const size_t             helpers = std::min<uint64_t>(thread_count(), launch.grid.count()) - 1;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < helpers; ++i) threads.emplace_back(work);
    work();
    for (auto & thread : threads) thread.join();
    return sum;
}

}  // namespace emulator
