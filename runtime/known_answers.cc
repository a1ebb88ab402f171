#include "known_answers.h"

#include <cctype>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend-impl.h"
#include "ggml.h"

namespace ingot {

static constexpr int64_t COLUMNS = 256;  // the largest quantisation block
static constexpr int64_t ROWS    = 64;   // two AMX tiles, eight repacked rows and more
static constexpr int64_t DISTINCT_ROWS = 5;  // prime to the widths in which kernels take rows
// Activations are rounded to 8 bits inside, about 0.5 % of the result's norm; a wrong
// kernel is off by about 100 %.
static constexpr double TOLERANCE = 0.03;

// A linear congruential generator: the same bytes everywhere, no library state.
static uint32_t next(uint32_t & state) { return state = state * 1664525u + 1013904223u; }

// In [-1, 1).
static float unit(uint32_t & state) { return (float) ((int32_t) next(state) >> 8) / (1 << 23); }

static bool starts_with(const char * text, const char * prefix) { return std::strncmp(text, prefix, std::strlen(prefix)) == 0; }

// Quantised rows and what they stand for. Types whose quantiser needs big search tables
// (IQ1 to IQ3) get random bytes with the top exponent bit of every 16-bit word cleared, so
// that whatever word holds an F16 scale is finite and below 2. For the others a few rows are
// quantised from random floats and repeated, because quantising is what costs time here.
struct Weights {
    std::vector<uint8_t> bytes;
    std::vector<float>   values;  // ROWS x COLUMNS

    explicit Weights(ggml_type type) : values(ROWS * COLUMNS) {
        const auto * traits   = ggml_get_type_traits(type);
        const size_t row_size = ggml_row_size(type, COLUMNS);
        const bool   searched = starts_with(traits->type_name, "iq1") || starts_with(traits->type_name, "iq2") ||
                              starts_with(traits->type_name, "iq3");
        uint32_t seed = 20261120u + (uint32_t) type;
        bytes.resize(row_size * ROWS);
        for (int64_t r = 0; r < ROWS; ++r) {
            uint8_t * row = bytes.data() + r * row_size;
            float *   out = values.data() + r * COLUMNS;
            if (searched) {
                for (size_t i = 0; i < row_size; ++i) row[i] = (uint8_t) (next(seed) >> 24) & (i & 1 ? 0xBF : 0xFF);
            } else if (r < DISTINCT_ROWS) {
                for (int64_t c = 0; c < COLUMNS; ++c) out[c] = unit(seed);
                if (type == GGML_TYPE_F32) std::memcpy(row, out, row_size);
                else traits->from_float_ref(out, row, COLUMNS);
            } else {
                std::memcpy(row, row - DISTINCT_ROWS * row_size, row_size);
            }
            if (type != GGML_TYPE_F32) traits->to_float(row, out, COLUMNS);
            else std::memcpy(out, row, row_size);
        }
    }
};

static bool close_enough(const std::vector<float> & got, const std::vector<float> & weights, const std::vector<float> & x, int64_t batch) {
    double error = 0, norm = 0;
    for (int64_t b = 0; b < batch; ++b) {
        for (int64_t r = 0; r < ROWS; ++r) {
            double want = 0;
            for (int64_t c = 0; c < COLUMNS; ++c) want += (double) weights[r * COLUMNS + c] * x[b * COLUMNS + c];
            const double off = got[b * ROWS + r] - want;
            error += off * off;
            norm += want * want;
        }
    }
    return std::isfinite(error) && error <= TOLERANCE * TOLERANCE * norm;
}

struct Product {
    ggml_context * context;
    ggml_tensor *  weights;
    ggml_tensor *  x;
    ggml_tensor *  y;

    Product(ggml_type type, int64_t batch) {
        context = ggml_init({16 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true});
        weights = ggml_new_tensor_2d(context, type, COLUMNS, ROWS);
        x       = ggml_new_tensor_2d(context, GGML_TYPE_F32, COLUMNS, batch);
        y       = ggml_mul_mat(context, weights, x);
    }
    ~Product() { ggml_free(context); }
};

// One product with the weights in buffers of type `place`; true when right or unsupported.
static bool product_is_right(ggml_backend_t backend, ggml_backend_buffer_type_t place, ggml_type type,
                             const Weights & weights, int64_t batch) {
    Product product(type, batch);
    ggml_backend_dev_t device = ggml_backend_get_device(backend);

    ggml_backend_buffer_t room = ggml_backend_buft_alloc_buffer(
        place, ggml_backend_buft_get_alloc_size(place, product.weights) + ggml_backend_buft_get_alignment(place));
    if (!room) return false;
    // supports_op looks at where the weights lie
    product.weights->buffer = room;
    const bool supported = ggml_backend_dev_supports_op(device, product.y);
    product.weights->buffer = nullptr;
    if (!supported) {
        ggml_backend_buffer_free(room);
        return true;
    }
    ggml_tallocr allocator = ggml_tallocr_new(room);
    ggml_tallocr_alloc(&allocator, product.weights);
    ggml_backend_buffer_t rest = ggml_backend_alloc_ctx_tensors(product.context, backend);

    uint32_t seed = (uint32_t) batch;
    std::vector<float> x(COLUMNS * batch);
    for (auto & value : x) value = unit(seed);
    ggml_backend_tensor_set(product.weights, weights.bytes.data(), 0, weights.bytes.size());
    ggml_backend_tensor_set(product.x, x.data(), 0, x.size() * sizeof(float));

    ggml_cgraph * graph = ggml_new_graph(product.context);
    ggml_build_forward_expand(graph, product.y);
    std::vector<float> got(ROWS * batch);
    bool right = rest && ggml_backend_graph_compute(backend, graph) == GGML_STATUS_SUCCESS;
    if (right) {
        ggml_backend_tensor_get(product.y, got.data(), 0, got.size() * sizeof(float));
        right = close_enough(got, weights.values, x, batch);
    }
    ggml_backend_buffer_free(rest);
    ggml_backend_buffer_free(room);
    return right;
}

static std::vector<ggml_backend_buffer_type_t> places(ggml_backend_dev_t device) {
    std::vector<ggml_backend_buffer_type_t> found{ggml_backend_dev_buffer_type(device)};
    auto extra = (ggml_backend_dev_get_extra_bufts_t) ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts");
    if (extra) {
        for (auto * type = extra(device); type && *type; ++type) found.push_back(*type);
    }
    return found;
}

static bool is_tested(ggml_type type, const std::set<std::string> & types) {
    const auto * traits = ggml_get_type_traits(type);
    const bool   weight = type == GGML_TYPE_F32 || (traits && traits->to_float);
    if (!weight || traits->blck_size == 0 || type == GGML_TYPE_Q8_1 || type == GGML_TYPE_Q8_K) return false;
    std::string name = traits->type_name;
    for (char & c : name) c = (char) std::toupper((unsigned char) c);
    return types.empty() || types.count(name) > 0;
}

bool answers_are_right(ggml_backend_reg_t reg, const std::set<std::string> & types) {
    if (!reg || reg->api_version != GGML_BACKEND_API_VERSION || ggml_backend_reg_dev_count(reg) == 0) return false;
    ggml_backend_dev_t device  = ggml_backend_reg_dev_get(reg, 0);
    ggml_backend_t     backend = ggml_backend_dev_init(device, nullptr);
    if (!backend) return false;
    auto set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set_threads) set_threads(backend, 1);

    bool right = true;
    for (int t = 0; t < GGML_TYPE_COUNT && right; ++t) {
        const auto type = (ggml_type) t;
        if (!is_tested(type, types)) continue;
        const Weights weights(type);
        for (auto place : places(device)) {
            for (int64_t batch : {1, 8}) right = right && product_is_right(backend, place, type, weights, batch);
        }
    }
    ggml_backend_free(backend);
    return right;
}

}  // namespace ingot
