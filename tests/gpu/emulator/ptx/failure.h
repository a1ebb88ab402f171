// How an emulated GPU reports a fault: one line on stderr, then the end of the process.
//
// A kernel that reads outside its memory has no result worth going on with, and a test must not be able
// to miss it. The line is also appended to the file named by INGOT_EMULATOR_FAILURES, because a program
// may run its kernels in a child whose stderr is closed.
#pragma once

#include <cstdint>
#include <string>

namespace emulator {

// Exit status after a fault; no program of the product uses it.
constexpr int failure_status = 99;

// Where a fault happened.
struct Place {
    std::string kernel;
    std::string instruction;            // its text
    uint32_t    block[3] = {0, 0, 0};   // blockIdx
    uint32_t    warp     = 0;           // within the block
    int         lane     = -1;          // -1: the warp as a whole
};

// "emulator: WHAT", of a fault outside of kernels.
[[noreturn]] void fail(const std::string & what);

// "emulator: WHAT; kernel K, block (x,y,z), warp W, lane L, seed S: INSTRUCTION".
[[noreturn]] void fail(const std::string & what, const Place & place);

}  // namespace emulator
