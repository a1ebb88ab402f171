// Loads a Vulkan module as the runtime does, with ggml's core and nothing else around it, and lets
// the first device multiply matrices: vulkan_driver MODULE [TYPE ROWS COLUMNS]...
// One line per word: "problem WHY", "device NAME", "TYPE ROWSxCOLUMNS ERROR" or "... refused",
// where the error is the normalised mean square against products of the dequantised matrix.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml.h"

static const int64_t WIDTH = 512;

static std::vector<float> numbers(size_t count) {
    std::vector<float> found(count);
    for (float & number : found) number = (float) std::rand() / (float) RAND_MAX - 0.5f;
    return found;
}

static ggml_type type_of(const char * name) {
    for (int type = 0; type < GGML_TYPE_COUNT; ++type) {
        const char * known = ggml_type_name((ggml_type) type);
        if (known && strcasecmp(known, name) == 0) return (ggml_type) type;
    }
    std::exit(2);
}

static void multiply(ggml_backend_t backend, const char * name, int64_t rows, int64_t columns) {
    const ggml_type type = type_of(name);
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true});
    ggml_tensor * a = ggml_new_tensor_2d(context, type, WIDTH, rows);
    ggml_tensor * b = ggml_new_tensor_2d(context, GGML_TYPE_F32, WIDTH, columns);
    ggml_tensor * product = ggml_mul_mat(context, a, b);
    ggml_cgraph * graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, product);
    std::printf("%s %dx%d ", name, (int) rows, (int) columns);
    if (!ggml_backend_supports_op(backend, product)) {
        std::puts("refused");
        return;
    }
    ggml_backend_alloc_ctx_tensors(context, backend);
    std::vector<float> left = numbers(WIDTH * rows), right = numbers(WIDTH * columns), result(rows * columns);
    std::vector<char> quantised(ggml_nbytes(a));
    const std::vector<float> importance(WIDTH, 1.0f);
    if (type == GGML_TYPE_F32) std::memcpy(quantised.data(), left.data(), quantised.size());
    else ggml_quantize_chunk(type, left.data(), quantised.data(), 0, rows, WIDTH, importance.data());
    if (type != GGML_TYPE_F32) ggml_get_type_traits(type)->to_float(quantised.data(), left.data(), WIDTH * rows);
    ggml_backend_tensor_set(a, quantised.data(), 0, quantised.size());
    ggml_backend_tensor_set(b, right.data(), 0, ggml_nbytes(b));
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) std::exit(3);
    ggml_backend_tensor_get(product, result.data(), 0, ggml_nbytes(product));
    double wrong = 0, all = 0;
    for (int64_t column = 0; column < columns; ++column) {
        for (int64_t row = 0; row < rows; ++row) {
            double sum = 0;
            for (int64_t k = 0; k < WIDTH; ++k) sum += (double) left[row * WIDTH + k] * right[column * WIDTH + k];
            const double off = sum - result[column * rows + row];
            wrong += off * off;
            all += sum * sum;
        }
    }
    std::printf("%.9f\n", wrong / all);
}

int main(int argc, char ** argv) {
    void * module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    const auto init = reinterpret_cast<ggml_backend_reg_t (*)()>(dlsym(module, "ggml_backend_init"));
    const auto problem = reinterpret_cast<const char * (*) ()>(dlsym(module, "ingot_module_problem"));
    const ggml_backend_reg_t reg = init();
    if (!reg || ggml_backend_reg_dev_count(reg) == 0) {
        std::printf("problem %s\n", reg ? "no device" : problem());
        return 0;
    }
    ggml_backend_dev_t device = ggml_backend_reg_dev_get(reg, 0);
    std::printf("device %s\n", ggml_backend_dev_description(device));
    ggml_backend_t backend = ggml_backend_dev_init(device, nullptr);
    for (int at = 2; at + 2 < argc; at += 3) multiply(backend, argv[at], std::atoi(argv[at + 1]), std::atoi(argv[at + 2]));
    ggml_backend_free(backend);
    return 0;
}
