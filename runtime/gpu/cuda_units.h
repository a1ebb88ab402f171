// What to compile of upstream's CUDA backend for a kernel set: pure, text in and text out. A unit is
// a source file of a few lines that includes upstream's files, with the types that are left out
// narrowed away (native/cuda/narrow.cuh). native/cuda/NOTES.md has the measurements behind it.
#pragma once

#include <string>
#include <vector>

#include "../kernel_set.h"

namespace ingot::gpu {

struct Unit {
    std::string name;    // "mmvq", "mmq-iq2_s", "fattn-mma-64-64-2": a file name without extension
    std::string source;  // CUDA C++
};

struct UnitPlan {
    std::vector<Unit>        units;    // longest to compile first
    std::string              header;   // ingot_kernels.h, which entry.cu reads
    std::vector<std::string> defines;  // "NAME=VALUE", for every unit
    std::vector<std::string> left_out; // ops of the set that the backend has no kernels for
};

// `capability`: the lowest compute capability that is compiled for, times ten (90 for 9.0). Below
// 75 attention needs the kernels for GPUs without tensor cores as well.
UnitPlan plan_units(const KernelSet & set, int capability);

}  // namespace ingot::gpu
