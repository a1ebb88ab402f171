// The cuBLAS calls of the engine's CUDA backend. The real library answers them when it is
// installed; else kernels of our own do: tensor cores for F16 and BF16, plain arithmetic for F32
// (exact where cuBLAS would round to TF32). Matrices are column-major, as in cuBLAS.
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <dlfcn.h>
#include <mma.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace {

constexpr int TILE = 64;   // rows and columns of C per block
constexpr int DEPTH = 32;  // of A and B in shared memory at a time
constexpr int WARPS = 4;   // a warp computes 32 x 32 of C
constexpr int PAD = 8;     // elements; keeps banks apart and rows 16-byte aligned

// The first compute capability, without its dot, whose tensor cores multiply T.
template <typename T> constexpr int TENSOR_SINCE = std::is_same_v<T, half> ? 70 : 80;
#ifdef __CUDA_ARCH__
constexpr int CAPABILITY = __CUDA_ARCH__ / 10;
#endif

// A matrix of a batch: by stride from `base`, or `list[i]` where there is a list.
struct Operand {
    const void * base;
    const void * const * list;
    int64_t stride;  // elements
    int ld;

    template <typename T> __device__ const T * at(int batch) const {
        return list ? static_cast<const T *>(list[batch]) : static_cast<const T *>(base) + batch * stride;
    }
};

struct Problem {
    int m, n, k, batch;
    bool transpose_a, transpose_b;
    float alpha, beta;
    Operand a, b, c;
};

template <typename T> __device__ float to_float(T value) { return static_cast<float>(value); }
template <typename T> __device__ T from_float(float value) { return static_cast<T>(value); }

template <typename C> __device__ void store(const Problem & p, C * c, int row, int column, float sum) {
    C & to = c[(int64_t) column * p.c.ld + row];
    to = from_float<C>(p.alpha * sum + (p.beta == 0.0f ? 0.0f : p.beta * to_float(to)));
}

// Element (row, column) of op(X), zero outside, so that edges need no cases of their own.
template <typename T>
__device__ T element(const T * x, int ld, bool transpose, int row, int column, int rows, int columns) {
    if (row >= rows || column >= columns) return from_float<T>(0.0f);
    return transpose ? x[(int64_t) row * ld + column] : x[(int64_t) column * ld + row];
}

// Fills shared memory with TILE x DEPTH of op(A) (row-major) and of op(B) (column-major), walking
// along whatever is contiguous in memory.
template <typename T, int LD>
__device__ void load_tiles(const Problem & p, const T * a, const T * b, T * sa, T * sb, int row0, int column0, int k0) {
    for (int i = threadIdx.x; i < TILE * DEPTH; i += blockDim.x) {
        const int r = p.transpose_a ? i / DEPTH : i % TILE, d = p.transpose_a ? i % DEPTH : i / TILE;
        sa[r * LD + d] = element(a, p.a.ld, p.transpose_a, row0 + r, k0 + d, p.m, p.k);
        const int c = p.transpose_b ? i % TILE : i / DEPTH, e = p.transpose_b ? i / TILE : i % DEPTH;
        sb[c * LD + e] = element(b, p.b.ld, p.transpose_b, k0 + e, column0 + c, p.k, p.n);
    }
}

// mma.h declares nothing below 7.0.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 700
template <typename T, typename C> __device__ void multiply_tensor(const Problem & p) {
    namespace wmma = nvcuda::wmma;
    constexpr int LD = DEPTH + PAD;
    __shared__ __align__(32) T sa[TILE * LD];
    __shared__ __align__(32) T sb[TILE * LD];
    __shared__ __align__(32) float sc[WARPS][16 * 16];

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int row0 = blockIdx.x * TILE, column0 = blockIdx.y * TILE;
    const int warp_row = (warp % 2) * 32, warp_column = (warp / 2) * 32;
    for (int batch = blockIdx.z; batch < p.batch; batch += gridDim.z) {
        const T * a = p.a.at<T>(batch);
        const T * b = p.b.at<T>(batch);
        wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[2][2];
        for (auto & line : sums) for (auto & sum : line) wmma::fill_fragment(sum, 0.0f);
        for (int k0 = 0; k0 < p.k; k0 += DEPTH) {
            load_tiles<T, LD>(p, a, b, sa, sb, row0, column0, k0);
            __syncthreads();
            for (int d = 0; d < DEPTH; d += 16) {
                wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> fa[2];
                wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major> fb[2];
                for (int i = 0; i < 2; ++i) {
                    wmma::load_matrix_sync(fa[i], sa + (warp_row + 16 * i) * LD + d, LD);
                    wmma::load_matrix_sync(fb[i], sb + (warp_column + 16 * i) * LD + d, LD);
                }
                for (int i = 0; i < 2; ++i) for (int j = 0; j < 2; ++j) wmma::mma_sync(sums[i][j], fa[i], fb[j], sums[i][j]);
            }
            __syncthreads();
        }
        C * c = const_cast<C *>(p.c.at<C>(batch));
        for (int i = 0; i < 2; ++i) for (int j = 0; j < 2; ++j) {
            wmma::store_matrix_sync(sc[warp], sums[i][j], 16, wmma::mem_col_major);
            __syncwarp();
            for (int e = lane; e < 256; e += 32) {
                const int row = row0 + warp_row + 16 * i + e % 16, column = column0 + warp_column + 16 * j + e / 16;
                if (row < p.m && column < p.n) store(p, c, row, column, sc[warp][e]);
            }
            __syncwarp();
        }
    }
}
#endif

// Empty where it was compiled for less than TENSOR_SINCE<T>: `launch` takes gemm_plain there.
template <typename T, typename C> __global__ void __launch_bounds__(WARPS * 32) gemm_tensor(const Problem p) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
    if constexpr (CAPABILITY >= TENSOR_SINCE<T>) multiply_tensor<T, C>(p);
#endif
}

// 16 x 16 threads, each 4 x 4 of C.
template <typename T, typename C> __global__ void __launch_bounds__(256) gemm_plain(const Problem p) {
    constexpr int LD = DEPTH + 1;
    __shared__ T sa[TILE * LD];
    __shared__ T sb[TILE * LD];
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    const int row0 = blockIdx.x * TILE, column0 = blockIdx.y * TILE;
    for (int batch = blockIdx.z; batch < p.batch; batch += gridDim.z) {
        const T * a = p.a.at<T>(batch);
        const T * b = p.b.at<T>(batch);
        float sums[4][4] = {};
        for (int k0 = 0; k0 < p.k; k0 += DEPTH) {
            load_tiles<T, LD>(p, a, b, sa, sb, row0, column0, k0);
            __syncthreads();
            for (int d = 0; d < DEPTH; ++d) {
                for (int i = 0; i < 4; ++i) for (int j = 0; j < 4; ++j) {
                    sums[i][j] += to_float(sa[(tx + 16 * i) * LD + d]) * to_float(sb[(ty + 16 * j) * LD + d]);
                }
            }
            __syncthreads();
        }
        C * c = const_cast<C *>(p.c.at<C>(batch));
        for (int i = 0; i < 4; ++i) for (int j = 0; j < 4; ++j) {
            const int row = row0 + tx + 16 * i, column = column0 + ty + 16 * j;
            if (row < p.m && column < p.n) store(p, c, row, column, sums[i][j]);
        }
    }
}

// One thread per right-hand side row: X op(A) = alpha B with A upper or lower triangular n x n, in place.
__global__ void solve_right(int m, int n, float alpha, bool upper, bool transpose, bool unit, const float * const * as, int lda,
                            float * const * bs, int ldb) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= m) return;
    const float * a = as[blockIdx.y];
    float * b = bs[blockIdx.y];
    const bool forward = upper != transpose;  // op(A) is upper triangular: columns from the left
    for (int step = 0; step < n; ++step) {
        const int j = forward ? step : n - 1 - step;
        float sum = alpha * b[(int64_t) j * ldb + row];
        for (int before = 0; before < step; ++before) {
            const int i = forward ? before : n - 1 - before;
            const float factor = transpose ? a[(int64_t) i * lda + j] : a[(int64_t) j * lda + i];
            sum -= b[(int64_t) i * ldb + row] * factor;
        }
        b[(int64_t) j * ldb + row] = unit ? sum : sum / a[(int64_t) j * lda + j];
    }
}

// The real library's functions by name, or nothing. INGOT_CUBLAS=0 keeps to our own kernels.
void * real(const char * name) {
    static void * const library = [] () -> void * {
        const char * wish = std::getenv("INGOT_CUBLAS");
        if (wish && wish[0] == '0') return nullptr;
        char name[32];  // of the same major version as the runtime that this was compiled with
        std::snprintf(name, sizeof name, "libcublas.so.%d", CUDART_VERSION / 1000);
        return dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }();
    return library ? dlsym(library, name) : nullptr;
}

}  // namespace

struct cublasContext {
    cudaStream_t   stream = nullptr;
    cublasHandle_t real   = nullptr;  // the real library's handle, where there is one
    // What the kernels that run on this device were compiled for, such as 75. Lower than the device's
    // own where the driver compiled them from PTX.
    int capability = 0;
};

namespace {

// Calls the real function when this handle belongs to the real library.
#define INGOT_PASS_ON(name, handle, ...)                                     \
    if (handle->real) {                                                      \
        static const auto call = reinterpret_cast<decltype(&name)>(::real(#name)); \
        if (call) return call(handle->real, __VA_ARGS__);                    \
    }

// On the current device. All kernels of this file are one binary, so one of them speaks for all.
int capability_of_kernels() {
    cudaFuncAttributes attributes;
    if (cudaFuncGetAttributes(&attributes, gemm_plain<float, float>) == cudaSuccess) return attributes.ptxVersion;
    cudaGetLastError();  // the launch reports it
    return 0;
}

template <typename T, typename C> void launch(const Problem & p, const cublasContext & context) {
    const dim3 grid((p.m + TILE - 1) / TILE, (p.n + TILE - 1) / TILE, p.batch < 65535 ? p.batch : 65535);
    if constexpr (!std::is_same_v<T, float>) {
        if (context.capability >= TENSOR_SINCE<T>) {
            gemm_tensor<T, C><<<grid, WARPS * 32, 0, context.stream>>>(p);
            return;
        }
    }
    gemm_plain<T, C><<<grid, 256, 0, context.stream>>>(p);
}

template <typename T> cublasStatus_t launch_to(const Problem & p, const cublasContext & context, cudaDataType type) {
    switch (type) {
        case CUDA_R_32F:  launch<T, float>(p, context); break;
        case CUDA_R_16F:  launch<T, half>(p, context); break;
        case CUDA_R_16BF: launch<T, nv_bfloat16>(p, context); break;
        default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    return cudaPeekAtLastError() == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t multiply(cublasHandle_t handle, const Problem & p, cudaDataType a, cudaDataType b, cudaDataType c) {
    if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (p.m == 0 || p.n == 0 || p.batch == 0) return CUBLAS_STATUS_SUCCESS;
    if (a != b) return CUBLAS_STATUS_NOT_SUPPORTED;
    switch (a) {
        case CUDA_R_32F:  return launch_to<float>(p, *handle, c);
        case CUDA_R_16F:  return launch_to<half>(p, *handle, c);
        case CUDA_R_16BF: return launch_to<nv_bfloat16>(p, *handle, c);
        default:          return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

// alpha and beta have the type of the computation.
float scalar(const void * value, cublasComputeType_t compute) {
    return compute == CUBLAS_COMPUTE_16F ? __half2float(*static_cast<const half *>(value)) : *static_cast<const float *>(value);
}

Problem problem(cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, float alpha, float beta, int batch) {
    return {m, n, k, batch, ta != CUBLAS_OP_N, tb != CUBLAS_OP_N, alpha, beta, {}, {}, {}};
}

Operand strided(const void * base, int ld, long long stride) { return {base, nullptr, stride, ld}; }
Operand listed(const void * const * list, int ld) { return {nullptr, list, 0, ld}; }

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t * handle) {
    auto * made = new cublasContext;
    if (const auto create = reinterpret_cast<decltype(&cublasCreate_v2)>(real("cublasCreate_v2"))) {
        if (create(&made->real) != CUBLAS_STATUS_SUCCESS) made->real = nullptr;
    }
    made->capability = capability_of_kernels();
    *handle = made;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    const auto destroy = reinterpret_cast<decltype(&cublasDestroy_v2)>(real("cublasDestroy_v2"));
    if (handle->real && destroy) destroy(handle->real);
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    INGOT_PASS_ON(cublasSetStream_v2, handle, stream)
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    INGOT_PASS_ON(cublasSetMathMode, handle, mode)
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void * workspace, size_t size) {
    INGOT_PASS_ON(cublasSetWorkspace_v2, handle, workspace, size)
    return CUBLAS_STATUS_SUCCESS;
}

const char * cublasGetStatusString(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS:          return "success";
        case CUBLAS_STATUS_INVALID_VALUE:    return "a size is negative";
        case CUBLAS_STATUS_EXECUTION_FAILED: return "the kernel could not be started";
        case CUBLAS_STATUS_NOT_SUPPORTED:    return "this combination of types has no kernel";
        default:                             return "cuBLAS failed";
    }
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const float * alpha,
                              const float * A, int lda, const float * B, int ldb, const float * beta, float * C, int ldc) {
    INGOT_PASS_ON(cublasSgemm_v2, h, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc)
    return cublasSgemmStridedBatched(h, ta, tb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, 0, 1);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                                         const float * alpha, const float * A, int lda, long long sa, const float * B, int ldb,
                                         long long sb, const float * beta, float * C, int ldc, long long sc, int batch) {
    INGOT_PASS_ON(cublasSgemmStridedBatched, h, ta, tb, m, n, k, alpha, A, lda, sa, B, ldb, sb, beta, C, ldc, sc, batch)
    Problem p = problem(ta, tb, m, n, k, *alpha, *beta, batch);
    p.a = strided(A, lda, sa), p.b = strided(B, ldb, sb), p.c = strided(C, ldc, sc);
    return multiply(h, p, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F);
}

cublasStatus_t cublasSgemmBatched(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const float * alpha,
                                  const float * const A[], int lda, const float * const B[], int ldb, const float * beta,
                                  float * const C[], int ldc, int batch) {
    INGOT_PASS_ON(cublasSgemmBatched, h, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, batch)
    Problem p = problem(ta, tb, m, n, k, *alpha, *beta, batch);
    p.a = listed((const void * const *) A, lda), p.b = listed((const void * const *) B, ldb), p.c = listed((const void * const *) C, ldc);
    return multiply(h, p, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F);
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void * alpha,
                            const void * A, cudaDataType a, int lda, const void * B, cudaDataType b, int ldb, const void * beta, void * C,
                            cudaDataType c, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
    INGOT_PASS_ON(cublasGemmEx, h, ta, tb, m, n, k, alpha, A, a, lda, B, b, ldb, beta, C, c, ldc, compute, algorithm)
    return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, alpha, A, a, lda, 0, B, b, ldb, 0, beta, C, c, ldc, 0, 1, compute, algorithm);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                                          const void * alpha, const void * A, cudaDataType a, int lda, long long sa, const void * B,
                                          cudaDataType b, int ldb, long long sb, const void * beta, void * C, cudaDataType c, int ldc,
                                          long long sc, int batch, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
    INGOT_PASS_ON(cublasGemmStridedBatchedEx, h, ta, tb, m, n, k, alpha, A, a, lda, sa, B, b, ldb, sb, beta, C, c, ldc, sc, batch,
                  compute, algorithm)
    Problem p = problem(ta, tb, m, n, k, scalar(alpha, compute), scalar(beta, compute), batch);
    p.a = strided(A, lda, sa), p.b = strided(B, ldb, sb), p.c = strided(C, ldc, sc);
    return multiply(h, p, a, b, c);
}

cublasStatus_t cublasGemmBatchedEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void * alpha,
                                   const void * const A[], cudaDataType a, int lda, const void * const B[], cudaDataType b, int ldb,
                                   const void * beta, void * const C[], cudaDataType c, int ldc, int batch, cublasComputeType_t compute,
                                   cublasGemmAlgo_t algorithm) {
    INGOT_PASS_ON(cublasGemmBatchedEx, h, ta, tb, m, n, k, alpha, A, a, lda, B, b, ldb, beta, C, c, ldc, batch, compute, algorithm)
    Problem p = problem(ta, tb, m, n, k, scalar(alpha, compute), scalar(beta, compute), batch);
    p.a = listed(A, lda), p.b = listed(B, ldb), p.c = listed(C, ldc);
    return multiply(h, p, a, b, c);
}

cublasStatus_t cublasStrsmBatched(cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t uplo, cublasOperation_t trans,
                                  cublasDiagType_t diag, int m, int n, const float * alpha, const float * const A[], int lda,
                                  float * const B[], int ldb, int batch) {
    INGOT_PASS_ON(cublasStrsmBatched, h, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb, batch)
    if (side != CUBLAS_SIDE_RIGHT) return CUBLAS_STATUS_NOT_SUPPORTED;  // the backend solves from the right only
    if (m == 0 || n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
    const dim3 grid((m + 127) / 128, batch);
    solve_right<<<grid, 128, 0, h->stream>>>(m, n, *alpha, uplo == CUBLAS_FILL_MODE_UPPER, trans != CUBLAS_OP_N, diag == CUBLAS_DIAG_UNIT,
                                             A, lda, B, ldb);
    return cudaPeekAtLastError() == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
