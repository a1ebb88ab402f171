// A block's start, its barriers, and turns for its warps.
#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <numeric>

#include "../failure.h"
#include "lanes.h"
#include "warp.h"

namespace emulator {

using State = Group::State;

constexpr uint64_t shared_alignment = 1024;

static bool searches_races() {
    static const char * setting = std::getenv("INGOT_EMULATOR_RACES");
    return !setting || std::strcmp(setting, "0") != 0;
}

// Storage that no block uses.
struct Spare {
    std::mutex                            mutex;
    std::vector<std::unique_ptr<Storage>> list;
};

static Spare & spare() {
    static Spare & only = *new Spare;
    return only;
}

static std::unique_ptr<Storage> take_storage() {
    const std::lock_guard lock(spare().mutex);
    if (spare().list.empty()) return std::make_unique<Storage>();
    auto last = std::move(spare().list.back());
    spare().list.pop_back();
    return last;
}

// At least so many bytes from an aligned address on.
static uint8_t * reserve(std::vector<uint8_t> & storage, uint64_t bytes, uint64_t alignment) {
    if (storage.size() < bytes + alignment) storage.resize(bytes + alignment);
    const auto address = reinterpret_cast<uint64_t>(storage.data());
    return storage.data() + (alignment - address % alignment) % alignment;
}

Block::Block(const Launch & launch_, const uint8_t * parameters_, uint64_t workspace_)
    : kernel(launch_.kernel), program(&launch_.kernel->program()), launch(&launch_), parameters(parameters_),
      workspace(workspace_), storage(take_storage()) {
    const auto     threads        = static_cast<uint32_t>(launch->block.count());
    const uint32_t warp_count     = (threads + 31) / 32;
    const uint64_t register_bytes = program->register_bytes;
    shared_bytes = program->shared_bytes + launch->dynamic_shared;
    shared       = reserve(storage->shared, shared_bytes, shared_alignment);
    local_base   = reserve(storage->local, uint64_t{program->local_bytes} * warp_count * 32, 256);
    if (searches_races()) shadow = &storage->shadow;
    ranges.resize(program->code.size());
    warps.resize(warp_count);
    order.resize(warp_count);
    const uint8_t * base = reserve(storage->registers, register_bytes * warp_count, 64);
    for (uint32_t i = 0; i < warp_count; ++i) {
        warps[i].bases[0] = base + i * register_bytes;
        warps[i].bases[1] = program->constants.data();
        warps[i].block    = this;
        warps[i].number   = i;
    }
}

Block::~Block() {
    const std::lock_guard lock(spare().mutex);
    spare().list.push_back(std::move(storage));
}

void Block::start(Size index_) {
    index        = index_;
    live_threads = static_cast<uint32_t>(launch->block.count());
    poison(shared, shared_bytes);
    std::fill(std::begin(barriers), std::end(barriers), Barrier());
    if (shadow) shadow->start(shared_bytes, static_cast<uint32_t>(warps.size()));
    std::iota(order.begin(), order.end(), 0u);
    if (seed()) {
        uint64_t state = seed() * 0x9e3779b97f4a7c15ull + index.x + index.y * 31337ull + index.z * 7919ull;
        for (size_t i = order.size(); i > 1; --i) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            std::swap(order[i - 1], order[(state >> 33) % i]);
        }
    }
    for (auto & warp : warps) start_warp(warp);
}

void Block::start_warp(Warp & warp) {
    const Size &   size    = launch->block;
    const uint32_t first   = warp.number * 32;
    const auto     threads = static_cast<uint32_t>(size.count());
    const uint32_t count   = std::min(32u, threads - first);
    warp.live              = count == 32 ? ~0u : (1u << count) - 1;
    warp.groups.assign(1, {State::ready, 0, warp.live, 0});
    warp.copies.clear();
    std::fill(std::begin(warp.committed), std::end(warp.committed), 0u);

    uint8_t *  base = const_cast<uint8_t *>(warp.bases[0]);
    const auto put  = [&](Special special, int lane, uint32_t value) { write<uint32_t>(base + offset_of(special), lane, value); };
    for (int lane = 0; lane < 32; ++lane) {
        const uint32_t thread = first + static_cast<uint32_t>(lane), bit = 1u << lane;
        put(Special::tid_x, lane, thread % size.x);
        put(Special::tid_y, lane, thread / size.x % size.y);
        put(Special::tid_z, lane, thread / size.x / size.y);
        put(Special::ntid_x, lane, size.x), put(Special::ntid_y, lane, size.y), put(Special::ntid_z, lane, size.z);
        put(Special::ctaid_x, lane, index.x), put(Special::ctaid_y, lane, index.y), put(Special::ctaid_z, lane, index.z);
        put(Special::nctaid_x, lane, launch->grid.x);
        put(Special::nctaid_y, lane, launch->grid.y);
        put(Special::nctaid_z, lane, launch->grid.z);
        put(Special::laneid, lane, static_cast<uint32_t>(lane));
        put(Special::warpid, lane, warp.number);
        put(Special::nwarpid, lane, static_cast<uint32_t>(warps.size()));
        put(Special::lanemask_eq, lane, bit);
        put(Special::lanemask_lt, lane, bit - 1);
        put(Special::lanemask_le, lane, bit | (bit - 1));
        put(Special::lanemask_gt, lane, ~(bit | (bit - 1)));
        put(Special::lanemask_ge, lane, ~(bit - 1));
        put(Special::smid, lane, 0), put(Special::nsmid, lane, 1), put(Special::clock, lane, 0);
        put(Special::envreg1, lane, static_cast<uint32_t>(workspace >> 32));
        put(Special::envreg2, lane, static_cast<uint32_t>(workspace));
        put(Special::dynamic_smem_size, lane, launch->dynamic_shared);
        const uint8_t * own = local_base + size_t{program->local_bytes} * (warp.number * 32 + static_cast<uint32_t>(lane));
        write<uint64_t>(base + offset_of(Special::local_base), lane, reinterpret_cast<uint64_t>(own));
        write<uint64_t>(base + offset_of(Special::parameter_base), lane, reinterpret_cast<uint64_t>(parameters));
    }
}

// Lets the threads go on that wait for it.
void Block::complete(uint32_t number) {
    const Barrier & barrier = barriers[number];
    for (auto & warp : warps) {
        for (auto & group : warp.groups) {
            if (group.state != State::at_barrier || group.barrier != number) continue;
            group.state = State::ready;
            const Instruction & instruction = program->code[group.pc - 1];
            if (!(instruction.mode & (barrier_popc | barrier_and | barrier_or))) continue;
            uint8_t * result = warp.destination(instruction.operands[1]);
            if (instruction.mode & barrier_popc) {
                for_lanes(group.lanes, [&](int lane) { write<uint32_t>(result, lane, barrier.count); });
                continue;
            }
            const bool holds = instruction.mode & barrier_and ? barrier.all : barrier.count > 0;
            const auto old   = read<uint32_t>(result, 0);
            write<uint32_t>(result, 0, (old & ~group.lanes) | (holds ? group.lanes : 0));
        }
    }
    if (shadow) shadow->barrier(barrier.warps);
    barriers[number] = {};
}

bool Block::release_barriers() {
    bool any = false;
    for (uint32_t number = 0; number < 16; ++number) {
        const Barrier & barrier = barriers[number];
        if (barrier.arrived == 0) continue;
        if (barrier.arrived < (barrier.expected ? barrier.expected : live_threads)) continue;
        complete(number);
        any = true;
    }
    return any;
}

bool Block::advance(uint64_t instructions) {
    bool any = false;
    for (uint32_t number : order) any |= emulator::advance(warps[number], instructions);
    return release_barriers() || any;
}

void Block::fail_stuck() const {
    for (const auto & warp : warps) {
        for (const auto & group : warp.groups) {
            const bool     waits = group.state == State::waits_for_lanes;
            const uint32_t pc    = waits ? group.pc : group.pc - 1;
            const char *   what  = waits ? "waits for lanes of its warp that never come" : "waits at a barrier that others never reach";
            emulator::fail(warp, program->code[pc], __builtin_ctz(group.lanes), what);
        }
    }
    std::abort();  // not reached: a block that is stuck has a thread
}

}  // namespace emulator
