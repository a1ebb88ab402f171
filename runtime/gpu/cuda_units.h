// What to compile of upstream's CUDA backend for a kernel set, with nvcc or with hipcc: pure. Types
// that are left out are narrowed away (native/cuda/narrow.cuh). native/cuda/NOTES.md has the
// measurements behind it.
#pragma once

#include <string>
#include <vector>

#include "../kernel_set.h"
#include "units.h"

namespace ingot::gpu {

enum class Dialect { cuda, hip };

// What the GPUs that are compiled for have, taken together.
struct Hardware {
    Dialect dialect  = Dialect::cuda;
    bool    matrix   = true;   // one has units for matrix products: tensor cores, WMMA, MFMA
    bool    plain    = false;  // one does attention without them, if only for small batches
    bool    tall     = false;  // upstream's variant of few-column products with 64 rows: CDNA
    bool    wide     = true;   // upstream's variant with 32 rows: all others
};

// `architectures`: compute capabilities without the dot ("90"), or names such as "gfx1100".
Hardware hardware_of(Dialect dialect, const std::vector<std::string> & architectures);

UnitPlan plan_units(const KernelSet & set, const Hardware & hardware);

}  // namespace ingot::gpu
