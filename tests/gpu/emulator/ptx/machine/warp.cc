// The scheduler of a warp's lanes. Groups of lanes at the same instruction go on together; the group that is
// furthest behind goes first, so that diverged lanes meet again where they can.
#include "warp.h"

#include <algorithm>
#include <map>

#include "../failure.h"
#include "lanes.h"

namespace emulator {

using State = Group::State;

void fail(const Warp & warp, const Instruction & instruction, int lane, const std::string & what) {
    Place place;
    place.kernel      = warp.block->kernel->name;
    place.instruction = warp.block->program->texts[instruction.index];
    place.block[0]    = warp.block->index.x;
    place.block[1]    = warp.block->index.y;
    place.block[2]    = warp.block->index.z;
    place.warp        = warp.number;
    place.lane        = lane;
    fail(what, place);
}

static uint32_t guarded(const Warp & warp, const Instruction & instruction, uint32_t lanes) {
    if (instruction.guard < 0) return lanes;
    uint32_t predicate;
    std::memcpy(&predicate, warp.bases[0] + instruction.guard, sizeof predicate);
    return instruction.guard_negated ? lanes & ~predicate : lanes & predicate;
}

// Lanes that must meet at an instruction.
static uint32_t member_lanes(const Warp & warp, const Instruction & instruction, uint32_t lanes) {
    if (instruction.members == all_lanes) return ~0u;
    const int      first  = __builtin_ctz(lanes);
    const uint32_t wanted = read<uint32_t>(warp.source(instruction.operands[instruction.members]), first);
    if (lanes & ~wanted) fail(warp, instruction, __builtin_ctz(lanes & ~wanted), "a lane that is not in the member mask");
    return wanted;
}

// Joins groups at the same instruction; the one that goes on, -1 without one.
static int choose_group(std::vector<Group> & groups) {
    for (size_t a = 0; a + 1 < groups.size(); ++a) {
        if (groups[a].state == State::at_barrier) continue;
        for (size_t b = a + 1; b < groups.size();) {
            if (groups[b].state != State::at_barrier && groups[b].pc == groups[a].pc) {
                groups[a].lanes |= groups[b].lanes;
                groups[a].state = State::ready;
                groups.erase(groups.begin() + static_cast<long>(b));
            } else {
                ++b;
            }
        }
    }
    int best = -1;
    for (size_t i = 0; i < groups.size(); ++i) {
        if (groups[i].state == State::ready && (best < 0 || groups[i].pc < groups[best].pc)) best = static_cast<int>(i);
    }
    if (best >= 0) return best;
    for (auto & group : groups) {
        if (group.state == State::had_its_turn) group.state = State::ready;
    }
    for (size_t i = 0; i < groups.size(); ++i) {
        if (groups[i].state == State::ready && (best < 0 || groups[i].pc < groups[best].pc)) best = static_cast<int>(i);
    }
    return best;
}

// One group on its way until it waits, meets others, or has executed enough.
class Walk {
public:
    Walk(Warp & warp, size_t group, uint64_t & budget)
        : warp_(warp), code_(warp.block->program->code.data()), group_(group), pc_(warp.groups[group].pc),
          lanes_(warp.groups[group].lanes), budget_(budget) {
        for (const auto & other : warp.groups) {
            if (other.state != State::at_barrier && other.pc > pc_) meeting_ = std::min(meeting_, other.pc);
        }
    }

    void go() {
        uint64_t left = budget_;
        while (left > 0) {
            --left;
            const Instruction & instruction = code_[pc_];
            const uint32_t      lanes       = guarded(warp_, instruction, lanes_);
            if (instruction.control == Control::none) {
                if (lanes) instruction.execute(warp_, instruction, lanes);
                if (++pc_ >= meeting_) break;
            } else if (!lanes) {
                if (++pc_ >= meeting_) break;
            } else if (!control(instruction, lanes)) {
                count(left);
                return;
            }
        }
        count(left);
        Group & group = warp_.groups[group_];
        group.pc      = pc_;
        if (left == 0 && warp_.groups.size() > 1) group.state = State::had_its_turn;
    }

private:
    void count(uint64_t left) {
        warp_.instructions += budget_ - left;
        budget_ = left;
    }

    // False if another group has to be chosen; the groups then say where the lanes are.
    bool control(const Instruction & instruction, uint32_t lanes) {
        switch (instruction.control) {
            case Control::none: return true;
            case Control::branch: return branch(instruction, lanes);
            case Control::branch_table: return branch_table(instruction, lanes);
            case Control::exit: return exit(lanes);
            case Control::fault: fail(warp_, instruction, __builtin_ctz(lanes), "the kernel gives up");
            case Control::barrier: return arrive(instruction, lanes);
            case Control::converge: return converge(instruction, lanes);
            case Control::yield: break;
        }
        if (instruction.execute) instruction.execute(warp_, instruction, lanes);
        leave_at(pc_ + 1, warp_.groups.size() > 1 ? State::had_its_turn : State::ready);
        budget_ = 0;
        return false;
    }

    void leave_at(uint32_t pc, State state) {
        warp_.groups[group_].pc    = pc;
        warp_.groups[group_].state = state;
    }

    bool branch(const Instruction & instruction, uint32_t lanes) {
        if (lanes == lanes_) {
            const bool backwards = instruction.target <= pc_;
            pc_ = instruction.target;
            if (pc_ < meeting_ && !(backwards && warp_.groups.size() > 1)) return true;
            leave_at(pc_, State::ready);
            return false;
        }
        leave_at(pc_ + 1, State::ready);
        warp_.groups[group_].lanes = lanes_ & ~lanes;
        warp_.groups.push_back({State::ready, instruction.target, lanes, 0});
        return false;
    }

    bool branch_table(const Instruction & instruction, uint32_t lanes) {
        const auto &                 table = warp_.block->program->tables[instruction.target];
        const uint8_t *              entry = warp_.source(instruction.operands[0]);
        std::map<uint32_t, uint32_t> targets;
        for_lanes(lanes, [&](int lane) {
            const uint32_t number = read<uint32_t>(entry, lane);
            if (number >= table.size()) fail(warp_, instruction, lane, "a branch beyond its table");
            targets[table[number]] |= 1u << lane;
        });
        if (lanes_ & ~lanes) targets[pc_ + 1] |= lanes_ & ~lanes;
        warp_.groups.erase(warp_.groups.begin() + static_cast<long>(group_));
        for (const auto & [target, group] : targets) warp_.groups.push_back({State::ready, target, group, 0});
        return false;
    }

    bool exit(uint32_t lanes) {
        warp_.live &= ~lanes;
        warp_.block->live_threads -= static_cast<uint32_t>(__builtin_popcount(lanes));
        warp_.groups[group_].lanes &= ~lanes;
        leave_at(pc_ + 1, State::ready);
        for (auto & other : warp_.groups) {
            if (other.state == State::waits_for_lanes) other.state = State::ready;  // perhaps for these
        }
        if (!warp_.groups[group_].lanes) warp_.groups.erase(warp_.groups.begin() + static_cast<long>(group_));
        return false;
    }

    // Waits until the member lanes that are alive are here.
    bool waits(const Instruction & instruction, uint32_t lanes) {
        const uint32_t wanted = member_lanes(warp_, instruction, lanes);
        if (!(wanted & warp_.live & ~lanes)) return false;
        leave_at(pc_, State::waits_for_lanes);
        return true;
    }

    bool converge(const Instruction & instruction, uint32_t lanes) {
        if (waits(instruction, lanes)) return false;
        if (instruction.members == all_lanes && lanes != ~0u) fail(warp_, instruction, -1, "not all lanes of the warp are there");
        instruction.execute(warp_, instruction, lanes);
        if (++pc_ < meeting_) return true;
        leave_at(pc_, State::ready);
        return false;
    }

    // The barrier's executor notes who arrived. The aligned variants want the whole warp.
    bool arrive(const Instruction & instruction, uint32_t lanes) {
        if ((instruction.mode & barrier_aligned) && (warp_.live & ~lanes)) {
            leave_at(pc_, State::waits_for_lanes);
            return false;
        }
        if (lanes != lanes_) {  // those that the guard holds back go on
            warp_.groups.push_back({State::ready, pc_ + 1, lanes_ & ~lanes, 0});
            warp_.groups[group_].lanes = lanes;
        }
        instruction.execute(warp_, instruction, lanes);
        Group & group = warp_.groups[group_];
        group.barrier = read<uint32_t>(warp_.source(instruction.operands[0]), __builtin_ctz(lanes));
        leave_at(pc_ + 1, instruction.mode & barrier_arrive ? State::ready : State::at_barrier);
        return false;
    }

    Warp &              warp_;
    const Instruction * code_;
    const size_t        group_;
    uint32_t            pc_;
    const uint32_t      lanes_;
    uint32_t            meeting_ = ~0u;  // where another group waits further on
    uint64_t &          budget_;
};

bool advance(Warp & warp, uint64_t instructions) {
    bool ran = false;
    while (instructions > 0) {
        const int group = choose_group(warp.groups);
        if (group < 0) break;
        const uint64_t before = warp.instructions;
        Walk(warp, static_cast<size_t>(group), instructions).go();
        ran |= warp.instructions != before;
    }
    return ran;
}

}  // namespace emulator
