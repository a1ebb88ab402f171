// Who last wrote and read each word of a block's shared memory, to find accesses that nothing orders.
//
// Each warp counts its barriers: its clock. A barrier lets the warps that meet in it know each other's clocks;
// an access happened before another one if the later warp knows a higher clock of the earlier warp. Within a
// warp, lanes are ordered by bar.warp.sync and by the barriers of the block. This is FastTrack (Flanagan and
// Freund, 2009) with warps for threads. A word that is accessed in parts gets a cell for each byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

class Shadow {
public:
    enum class Access : uint8_t { read, write, atomic };

    // For a new block: nothing has been accessed.
    void start(uint32_t bytes, uint32_t warps);

    // A description of the conflict, empty if there is none.
    const char * access(Access kind, uint32_t address, uint32_t bytes, uint32_t warp, uint32_t lane) {
        const char * conflict = nullptr;
        for (uint32_t at = address, end = address + bytes; at < end;) {
            const bool whole = at % 4 == 0 && end - at >= 4;
            Cell &     cell  = cells_[at / 4];
            if (whole && !cell.is_split) {
                conflict = touch(cell, kind, warp, lane);
                at += 4;
                if (conflict) return conflict;
                continue;
            }
            const uint32_t stop = whole ? at + 4 : at + 1;
            for (uint32_t byte = at; byte < stop && !conflict; ++byte) conflict = touch(part(byte), kind, warp, lane);
            if (whole && kind == Access::write) cell = parts_[at];  // all four are alike
            at = stop;
            if (conflict) return conflict;
        }
        return nullptr;
    }

    // bar.warp.sync, or an instruction that orders lanes as well.
    void sync_warp(uint32_t warp) { ++known_[warp * warps_ + warp]; }
    // A barrier in which these warps met.
    void barrier(uint32_t warps);

    // Of the last conflict: "warp 1, lane 3".
    std::string other() const;

private:
    static constexpr uint8_t several = 255;  // as a lane

    struct Cell {
        uint32_t write_clock = 0, read_clock = 0;
        uint32_t readers     = 0;  // warps
        uint8_t  write_warp  = 0, write_lane = 0;
        uint8_t  read_lane   = 0;
        bool     is_split : 1;
        bool     is_atomic : 1;
        Cell() : is_split(false), is_atomic(false) {}
    };

    Cell & part(uint32_t at);

    uint32_t clock(uint32_t warp) const { return known_[warp * warps_ + warp]; }

    // Whether an access by another warp, or by another lane of this one, came before.
    bool is_before(uint32_t when, uint32_t warp, uint32_t me) const { return when < known_[me * warps_ + warp]; }

    const char * touch(Cell & cell, Access kind, uint32_t warp, uint32_t lane) {
        const bool same_thread = cell.write_warp == warp && cell.write_lane == lane;
        if (!same_thread && !is_before(cell.write_clock, cell.write_warp, warp)) {
            if (kind != Access::atomic || !cell.is_atomic) {
                warp_ = cell.write_warp, lane_ = cell.write_lane;
                return kind == Access::read ? "reads what nothing orders after a write"
                                            : "writes what nothing orders after a write";
            }
        }
        if (kind == Access::read) {
            add_reader(cell, warp, lane);
            return nullptr;
        }
        if (cell.readers != 0 && has_reader(cell, warp, lane)) return "writes what nothing orders after a read";
        cell.write_clock = clock(warp);
        cell.write_warp  = static_cast<uint8_t>(warp);
        cell.write_lane  = static_cast<uint8_t>(lane);
        cell.is_atomic   = kind == Access::atomic;
        cell.readers     = 0;
        return nullptr;
    }

    void add_reader(Cell & cell, uint32_t warp, uint32_t lane) {
        const uint32_t now = clock(warp), me = 1u << warp;
        if (cell.readers == me && cell.read_clock == now) {
            if (cell.read_lane != lane) cell.read_lane = several;
            return;
        }
        add_first_reader(cell, warp, lane);
    }

    void add_first_reader(Cell & cell, uint32_t warp, uint32_t lane);
    bool has_reader(const Cell & cell, uint32_t warp, uint32_t lane);

    uint32_t              warps_ = 0;
    uint32_t              last_  = 0;  // highest clock of the blocks before: everything of them came before
    std::vector<uint32_t> known_;      // [warp][of warp]: clock below which all its accesses came before
    std::vector<Cell>     cells_;      // of words
    std::vector<Cell>     parts_;      // of bytes
    uint32_t              warp_ = 0, lane_ = 0;
};

}  // namespace emulator
