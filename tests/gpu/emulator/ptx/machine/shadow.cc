#include "shadow.h"

#include <algorithm>

namespace emulator {

void Shadow::start(uint32_t bytes, uint32_t warps) {
    const size_t words = (bytes + 3) / 4;
    if (cells_.size() < words) {
        cells_.resize(words);
        parts_.resize(words * 4);
    }
    // Clocks go on, so that cells of earlier blocks need no clearing.
    if (!known_.empty()) last_ = *std::max_element(known_.begin(), known_.end());
    if (last_ > 0xf0000000u) {
        cells_.assign(cells_.size(), Cell());
        parts_.assign(parts_.size(), Cell());
        last_ = 0;
    }
    warps_ = warps;
    known_.assign(size_t{warps} * warps, last_ + 1);
    // The last block may have had more warps; and a cell names its warp, whose clock is looked up.
    known_.resize(known_.size() + 32, last_ + 1);
}

void Shadow::barrier(uint32_t warps) {
    uint32_t joined[32] = {};
    for (uint32_t left = warps; left; left &= left - 1) {
        const uint32_t warp = static_cast<uint32_t>(__builtin_ctz(left));
        ++known_[warp * warps_ + warp];
        for (uint32_t of = 0; of < warps_; ++of) joined[of] = std::max(joined[of], known_[warp * warps_ + of]);
    }
    for (uint32_t left = warps; left; left &= left - 1) {
        const uint32_t warp = static_cast<uint32_t>(__builtin_ctz(left));
        std::copy(joined, joined + warps_, known_.begin() + warp * warps_);
    }
}

Shadow::Cell & Shadow::part(uint32_t at) {
    Cell & whole = cells_[at / 4];
    if (!whole.is_split) {
        std::fill_n(parts_.begin() + at / 4 * 4, 4, whole);
        whole.is_split = true;
    }
    return parts_[at];
}

// Readers that this one comes after need not be kept: who comes after this one comes after them.
void Shadow::add_first_reader(Cell & cell, uint32_t warp, uint32_t lane) {
    uint32_t kept = 0;
    for (uint32_t left = cell.readers & ~(1u << warp); left; left &= left - 1) {
        const uint32_t other = static_cast<uint32_t>(__builtin_ctz(left));
        if (!is_before(cell.read_clock, other, warp)) kept |= 1u << other;
    }
    const uint32_t now = clock(warp);
    if (cell.readers >> warp & 1 && cell.read_clock == now && cell.read_lane != lane) {
        cell.read_lane = several;
    } else {
        cell.read_lane = kept ? several : static_cast<uint8_t>(lane);
    }
    // One clock for all: the lowest, so that warps that met in no barrier are never accused wrongly.
    cell.read_clock = kept ? std::min(cell.read_clock, now) : now;
    cell.readers    = kept | 1u << warp;
}

bool Shadow::has_reader(const Cell & cell, uint32_t warp, uint32_t lane) {
    for (uint32_t left = cell.readers; left; left &= left - 1) {
        const uint32_t other = static_cast<uint32_t>(__builtin_ctz(left));
        if (other == warp && cell.read_lane == lane) continue;
        // Of several warps the lanes are not known.
        if (other == warp && (cell.readers & (cell.readers - 1)) != 0) continue;
        if (is_before(cell.read_clock, other, warp)) continue;
        warp_ = other, lane_ = cell.read_lane;
        return true;
    }
    return false;
}

std::string Shadow::other() const {
    const std::string warp = "warp " + std::to_string(warp_);
    return lane_ == several ? warp : warp + ", lane " + std::to_string(lane_);
}

}  // namespace emulator
