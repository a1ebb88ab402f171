#include "known_answers.h"

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
// Activations are rounded to 8 bits inside, about 0.5 % of the result's norm; a wrong
// kernel is off by about 100 %.
static constexpr double TOLERANCE = 0.03;

// A linear congruential generator: the same bytes everywhere, no library state.
static uint32_t next(uint32_t & state) { return state = state * 1664525u + 1013904223u; }

static bool starts_with(const char * text, const char * prefix) { return std::strncmp(text, prefix, std::strlen(prefix)) == 0; }

// Quantised rows. Types whose quantiser needs big search tables (IQ1 to IQ3) get random
// bytes with the top exponent bit of every 16-bit word cleared, so that whatever word
// holds an F16 scale is finite and below 2; the others are quantised from random floats.
static std::vector<uint8_t> make_weights(ggml_type type, uint32_t & seed) {
    std::vector<uint8_t> bytes(ggml_row_size(type, COLUMNS) * ROWS);
    const auto * traits = ggml_get_type_traits(type);
    const bool searched = starts_with(traits->type_name, "iq1") || starts_with(traits->type_name, "iq2") ||
                          starts_with(traits->type_name, "iq3");
    if (searched) {
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = (uint8_t) (next(seed) >> 24) & (i & 1 ? 0xBF : 0xFF);
        return bytes;
    }
    std::vector<float> row(COLUMNS);
    for (int64_t r = 0; r < ROWS; ++r) {
        for (auto & x : row) x = (float) ((int32_t) next(seed) >> 8) / (1 << 23);
        uint8_t * to = bytes.data() + r * ggml_row_size(type, COLUMNS);
        if (type == GGML_TYPE_F32) {
            std::memcpy(to, row.data(), COLUMNS * sizeof(float));
        } else {
            traits->from_float_ref(row.data(), to, COLUMNS);
        }
    }
    return bytes;
}

static std::vector<float> dequantised(ggml_type type, const std::vector<uint8_t> & bytes) {
    std::vector<float> values(COLUMNS * ROWS);
    if (type == GGML_TYPE_F32) {
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    for (int64_t r = 0; r < ROWS; ++r) {
        ggml_get_type_traits(type)->to_float(bytes.data() + r * ggml_row_size(type, COLUMNS), values.data() + r * COLUMNS, COLUMNS);
    }
    return values;
}

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
static bool product_is_right(ggml_backend_t backend, ggml_backend_buffer_type_t place, ggml_type type, int64_t batch) {
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

    uint32_t seed = 20261120u + (uint32_t) type;
    const auto bytes = make_weights(type, seed);
    std::vector<float> x(COLUMNS * batch);
    for (auto & value : x) value = (float) ((int32_t) next(seed) >> 8) / (1 << 23);
    ggml_backend_tensor_set(product.weights, bytes.data(), 0, bytes.size());
    ggml_backend_tensor_set(product.x, x.data(), 0, x.size() * sizeof(float));

    ggml_cgraph * graph = ggml_new_graph(product.context);
    ggml_build_forward_expand(graph, product.y);
    std::vector<float> got(ROWS * batch);
    bool right = rest && ggml_backend_graph_compute(backend, graph) == GGML_STATUS_SUCCESS;
    if (right) {
        ggml_backend_tensor_get(product.y, got.data(), 0, got.size() * sizeof(float));
        right = close_enough(got, dequantised(type, bytes), x, batch);
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

bool answers_are_right(ggml_backend_reg_t reg) {
    if (!reg || reg->api_version != GGML_BACKEND_API_VERSION || ggml_backend_reg_dev_count(reg) == 0) return false;
    ggml_backend_dev_t device  = ggml_backend_reg_dev_get(reg, 0);
    ggml_backend_t     backend = ggml_backend_dev_init(device, nullptr);
    if (!backend) return false;
    auto set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set_threads) set_threads(backend, 1);

    bool right = true;
    for (int t = 0; t < GGML_TYPE_COUNT && right; ++t) {
        const auto   type   = (ggml_type) t;
        const auto * traits = ggml_get_type_traits(type);
        const bool   weight = type == GGML_TYPE_F32 || (traits && traits->to_float);
        if (!weight || traits->blck_size == 0 || type == GGML_TYPE_Q8_1 || type == GGML_TYPE_Q8_K) continue;
        for (auto place : places(device)) {
            for (int64_t batch : {1, 8}) right = right && product_is_right(backend, place, type, batch);
        }
    }
    ggml_backend_free(backend);
    return right;
}

}  // namespace ingot
