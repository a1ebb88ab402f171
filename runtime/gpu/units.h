// What to compile for a GPU module: text in and text out. A unit is a source file of a few lines
// that includes upstream's files.
#pragma once

#include <string>
#include <vector>

#include "../kernel_set.h"

namespace ingot::gpu {

struct Unit {
    std::string name;           // "mmvq", "mmq-iq2_s", "fattn-mma-64-64-2": a file name without ending
    std::string source;
    std::string ending = "cu";  // of its file; the compiler goes by it
};

// A file that units include, beside them.
struct UnitFile {
    std::string name;
    std::string text;
};

struct UnitPlan {
    std::vector<Unit>        units;    // longest to compile first
    std::string              header;   // ingot_kernels.h, which entry.cc reads
    std::vector<std::string> defines;  // "NAME=VALUE", for every unit
    std::vector<std::string> left_out; // ops of the set that the backend has no kernels for
    std::vector<UnitFile>    files;
};

// About how many seconds one core compiles a unit for one architecture.
double compile_seconds(const Unit & unit);
double compile_seconds(const UnitPlan & plan);

// ingot_kernels.h: `lists` says what is in the module, in C++; `backend` is upstream's name, "cuda".
std::string kernels_header(const KernelSet & set, const std::string & backend, const std::string & lists);

}  // namespace ingot::gpu
