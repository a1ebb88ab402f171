#include "measure.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "ggml-alloc.h"
#include "ggml.h"
#include "limits/limits.h"
#include "os.h"

namespace ingot {

static constexpr int64_t SIZE = 4096, PROMPT = 256;
static constexpr int     RUNS_MIN = 2, RUNS_MAX = 50;
static constexpr double  SECONDS_MAX = 0.3;
static constexpr double  QUICK = 0.005;  // seconds; below that a product is too small to say much

using Clock = std::chrono::steady_clock;

static double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Bytes that every type reads as small finite numbers: no byte pair of them is an F16 or BF16 with a
// large exponent. Time does not depend on values otherwise.
static std::vector<uint8_t> weights(size_t size) {
    std::vector<uint8_t> bytes(size);
    uint32_t state = 20261121u;
    for (auto & byte : bytes) byte = (uint8_t) ((state = state * 1664525u + 1013904223u) >> 24) & 0x2F;
    return bytes;
}

// Seconds for one product of `size` x `size` weights, 0 when it cannot be computed.
static double product_seconds(ggml_backend_t backend, ggml_type type, int64_t size, int64_t columns) {
    ggml_context * context = ggml_init({16 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true});
    ggml_tensor *  w = ggml_new_tensor_2d(context, type, size, size);
    ggml_tensor *  x = ggml_new_tensor_2d(context, GGML_TYPE_F32, size, columns);
    ggml_tensor *  y = ggml_mul_mat(context, w, x);
    ggml_backend_buffer_t room = ggml_backend_dev_supports_op(ggml_backend_get_device(backend), y)
                                     ? ggml_backend_alloc_ctx_tensors(context, backend) : nullptr;
    double best = 0;
    if (room) {
        const auto bytes = weights(ggml_nbytes(w));
        const std::vector<float> ones((size_t) (size * columns), 1.0f);
        ggml_backend_tensor_set(w, bytes.data(), 0, bytes.size());
        ggml_backend_tensor_set(x, ones.data(), 0, ones.size() * sizeof(float));
        ggml_cgraph * graph = ggml_new_graph(context);
        ggml_build_forward_expand(graph, y);
        const auto start = Clock::now();
        for (int run = 0; run < RUNS_MIN || (run < RUNS_MAX && seconds_since(start) < SECONDS_MAX); ++run) {
            const auto begun = Clock::now();
            if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) break;
            const double taken = seconds_since(begun);
            best = best == 0 ? taken : std::min(best, taken);
        }
        ggml_backend_buffer_free(room);
    }
    ggml_free(context);
    return best;
}

// A quarter of both sizes first: a slow device needs no more than that, multiplied.
static double seconds_for(ggml_backend_t backend, ggml_type type, int64_t columns) {
    const int64_t fewer  = std::max<int64_t>(1, columns / 4);
    const double  part   = product_seconds(backend, type, SIZE / 4, fewer);
    const double  factor = 16.0 * (double) columns / (double) fewer;
    return part > 0 && part < QUICK ? product_seconds(backend, type, SIZE, columns) : part * factor;
}

Speed measure(ggml_backend_reg_t reg, ggml_type type) {
    Speed speed;
    if (!reg || ggml_backend_reg_dev_count(reg) == 0) return speed;
    ggml_backend_t backend = ggml_backend_dev_init(ggml_backend_reg_dev_get(reg, 0), nullptr);
    if (!backend) return speed;
    const auto set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set_threads) set_threads(backend, (int) limits::cpus().threads);
    speed = {seconds_for(backend, type, PROMPT), seconds_for(backend, type, 1)};
    ggml_backend_free(backend);
    return speed;
}

}  // namespace ingot
