// Leaves quantisation types out of a file that has kernels for all of them, without editing it.
//
// Such a file chooses by `switch (type) { case GGML_TYPE_X: kernel<GGML_TYPE_X>(...)`. A unit made
// by cuda_units.cc includes this, then defines GGML_TYPE_X for every type that is left out as a
// constant that converts in two ways: to int, as a case label needs it, with the type's own
// number; and to ggml_type, as a template argument needs it, with a type that is compiled anyway.
// So every label keeps its meaning, and no kernel is instantiated twice. The branch of a type that
// is left out calls a wrong kernel; entry.cc refuses such a tensor, so that it is never reached.
//
// ggml_type has no fixed underlying type: it promotes to int. What specialises a template for a
// type must come before the definitions, hence the includes.
#pragma once

#include "common.cuh"
#include "convert.cuh"
#include "mmq.cuh"
#include "vecdotq.cuh"

template <ggml_type type, ggml_type stand_in> struct ingot_left_out {
    __host__ __device__ constexpr operator int() const { return (int) type; }
    __host__ __device__ constexpr operator ggml_type() const { return stand_in; }
};

template <ggml_type type, ggml_type stand_in>
__host__ __device__ constexpr bool operator==(ggml_type a, ingot_left_out<type, stand_in>) { return a == type; }
template <ggml_type type, ggml_type stand_in>
__host__ __device__ constexpr bool operator!=(ggml_type a, ingot_left_out<type, stand_in>) { return a != type; }
