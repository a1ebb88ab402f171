#include "cuda_units.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

namespace ingot::gpu {

using Strings = std::vector<std::string>;

// Where the backend keeps the kernels of an op; more than one op may share a file. A kind in
// brackets is left away: all kinds of unary and gated ops are in one file.
struct Room {
    const char * op;
    const char * files;
};
static const Room ROOMS[] = {
    {"ACC", "acc"}, {"ADD", "binbcast"}, {"ADD1", "binbcast"}, {"ADD_ID", "add-id"}, {"ARANGE", "arange"}, {"ARGMAX", "argmax"},
    {"ARGSORT", "argsort"}, {"CLAMP", "clamp"}, {"COL2IM_1D", "col2im-1d"}, {"CONCAT", "concat"}, {"CONT", ""}, {"CONV_2D", "conv2d"},
    {"CONV_2D_DW", "conv2d-dw"}, {"CONV_3D", "conv3d"}, {"CONV_TRANSPOSE_1D", "conv-transpose-1d"},
    {"CONV_TRANSPOSE_2D", "conv2d-transpose"}, {"COS", "unary"}, {"COUNT_EQUAL", "count-equal"}, {"CPY", ""}, {"CUMSUM", "cumsum"},
    {"DIAG", "diag"}, {"DIAG_MASK_INF", "diagmask"}, {"DIV", "binbcast"}, {"DSV4_HC_COMB", "dsv4-hc"}, {"DSV4_HC_POST", "dsv4-hc"},
    {"DSV4_HC_PRE", "dsv4-hc"}, {"DUP", ""}, {"FILL", "fill"}, {"FLASH_ATTN_EXT", ""}, {"GATED_DELTA_NET", "gated_delta_net"},
    {"GATED_LINEAR_ATTN", "gla"}, {"GET_ROWS", "getrows"}, {"GLU", "unary"}, {"GROUP_NORM", "norm"}, {"IM2COL", "im2col"},
    {"IM2COL_3D", "im2col"}, {"L2_NORM", "norm"}, {"LEAKY_RELU", "unary"}, {"LIGHTNING_INDEXER", "lightning-indexer"},
    {"LOG", "unary"}, {"MEAN", "mean"}, {"MUL", "binbcast"}, {"MUL_MAT", ""}, {"MUL_MAT_ID", "mmid"}, {"NORM", "norm"},
    {"OUT_PROD", "out-prod"}, {"PAD", "pad"}, {"PAD_REFLECT_1D", "pad_reflect_1d"}, {"POOL_1D", "pool1d"}, {"POOL_2D", "pool2d"},
    {"REPEAT", "binbcast"}, {"RMS_NORM", "norm"}, {"ROLL", "roll"}, {"ROPE", "rope"}, {"RWKV_WKV6", "wkv"}, {"RWKV_WKV7", "wkv"},
    {"SCALE", "scale softcap"}, {"SET", "set"}, {"SET_ROWS", "set-rows"}, {"SIN", "unary snake"}, {"SOFT_MAX", "softmax"},
    {"SOLVE_TRI", "solve_tri"}, {"SQR", "unary"}, {"SQRT", "unary"}, {"SSM_CONV", "ssm-conv"}, {"SSM_SCAN", "ssm-scan"},
    {"SUB", "binbcast"}, {"SUM", "sum"}, {"SUM_ROWS", "sumrows"}, {"TIMESTEP_EMBEDDING", "tsembd"}, {"TOP_K", "top-k argsort"},
    {"TRI", "tri"}, {"UNARY", "unary"}, {"UPSCALE", "upscale"},
};

// Called by the backend itself, or by the files of other ops, whatever the model.
static const char * ALWAYS[] = {"ggml-cuda", "convert", "cpy", "quantize", "unary", "fwht", "allreduce"};

// Files with a branch for every quantisation type.
static const char * NARROWED[] = {"mmvq", "mmq", "convert", "getrows", "set-rows", "cpy"};

// Quantisation types the backend computes with. In mmq.cu the last two are called with one more
// template argument and so have to stay; nothing of them is compiled there.
static const char * QUANTISED[] = {"q1_0",   "q2_0",  "q4_0",    "q4_1",  "q5_0",  "q5_1",   "q8_0",  "q2_k",
                                   "q3_k",   "q4_k",  "q5_k",    "q6_k",  "iq1_s", "iq1_m",  "iq2_xxs", "iq2_xs",
                                   "iq2_s",  "iq3_xxs", "iq3_s", "iq4_nl", "iq4_xs", "mxfp4", "nvfp4"};
static const char * NO_MMQ = "iq1_m";  // its large products go through convert and BLAS

static const char * KV_NAMES[] = {"F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16"};

static std::string upper(std::string text) {
    for (char & c : text) c = (char) std::toupper((unsigned char) c);
    return text;
}

// The spelling in GGML_TYPE_*: as upper case, but for the K of k-quants, which already is.
static std::string enumerator(const std::string & type) { return "GGML_TYPE_" + upper(type); }

static std::string base_op(const std::string & op) { return op.substr(0, op.find('(')); }

static bool contains(const Strings & list, const std::string & what) { return std::find(list.begin(), list.end(), what) != list.end(); }

static void add(Strings & list, const std::string & what) {
    if (!what.empty() && !contains(list, what)) list.push_back(what);
}

static Strings split(const char * words) {
    Strings found;
    std::string word;
    for (const char * c = words;; ++c) {
        if (*c && *c != ' ') word += *c;
        else {
            add(found, word);
            word.clear();
            if (!*c) return found;
        }
    }
}

static const Room * room_of(const std::string & op) {
    for (const auto & room : ROOMS) {
        if (op == room.op) return &room;
    }
    return nullptr;
}

// Quantised types that the model or its KV cache has; never empty, something has to stand in.
static Strings kept_types(const KernelSet & set) {
    Strings kept;
    const auto keep = [&](const std::string & type) {
        for (const char * known : QUANTISED) {
            if (type == known) add(kept, type);
        }
    };
    for (const auto & [op, types] : set.source_types) for (const auto & type : types) keep(type);
    for (const auto & [op, pairs] : set.copies) for (const auto & [from, to] : pairs) keep(from), keep(to);
    for (const auto & [k, v] : set.kv_types) keep(k), keep(v);
    for (const auto & [type, share] : set.weights) keep(type);
    if (kept.empty()) kept.push_back("q8_0");
    return kept;
}

static bool has_source(const KernelSet & set, const char * op, const char * type) {
    const auto found = set.source_types.find(op);
    return found != set.source_types.end() && found->second.count(type) > 0;
}

static std::string include(const std::string & file) { return "#include \"" + file + "\"\n"; }

static std::string narrowed(const std::string & file, const Strings & kept) {
    // Any kept type may stand in; in mmq.cu and the product kernels it must have kernels there.
    std::string stand_in = kept.front();
    for (const auto & type : kept) {
        if (stand_in == NO_MMQ || stand_in == "mxfp4" || stand_in == "nvfp4") stand_in = type;
    }
    std::string text = include("narrow.cuh");
    for (const char * type : QUANTISED) {
        const bool special = std::strcmp(type, "mxfp4") == 0 || std::strcmp(type, "nvfp4") == 0;
        if (contains(kept, type) || (file == "mmq" && special)) continue;
        const std::string name = enumerator(type);
        text += "#define " + name + " (ingot_left_out<" + name + ", " + enumerator(stand_in) + ">{})\n";
    }
    return text + include(file + ".cu");
}

// Products of matrices of floating-point weights with few columns. Kernels for the types that the
// model multiplies by.
static Strings factor_types(const KernelSet & set) {
    Strings found;
    for (const char * type : {"f32", "f16", "bf16"}) {
        if (has_source(set, "MUL_MAT", type) || has_source(set, "MUL_MAT_ID", type)) found.push_back(type);
    }
    return found;
}

static std::string few_columns(int columns, const Strings & types, const Hardware & hardware) {
    std::string text = include("mmf.cuh");
    Strings rows;
    if (hardware.wide) rows.push_back("MMF_ROWS_PER_BLOCK");
    if (hardware.tall) rows.push_back("MMF_ROWS_PER_BLOCK_CDNA");
    for (const auto & type : types) {
        const std::string pair = type == "f32" ? "float" : type == "f16" ? "half2" : "nv_bfloat162";
        for (const auto & count : rows) {
            text += "DECL_MMF_CASE_HELPER(" + pair + ", " + count + ", " + std::to_string(columns) + ")\n";
        }
    }
    return text;
}

// Sums and products of activations, which are F32: casts to the other types become casts to float,
// so that nothing is instantiated for them. entry.cc refuses tensors of other types.
static const char * FLOAT_ONLY[] = {"ADD", "ADD1", "SUB", "MUL", "DIV", "REPEAT"};
static std::string float_only(const std::string & file) {
    return include("convert.cuh") + "#define half float\n#define nv_bfloat16 float\n" + include(file + ".cu");
}

// Instances that upstream's header forgets to declare extern, so that fattn.cu would compile them.
static const char * UNDECLARED[] = {"192, 128, 1, 8", "192, 128, 2, 8", "192, 128, 4, 8", "192, 128, 8, 8", "192, 128, 1, 16",
                                    "192, 128, 2, 16", "192, 128, 4, 16", "576, 512, 2, 4"};

static std::string attention_dispatch() {
    std::string text = include("common.cuh") +
        "template <int DKQ, int DV, int ncols1, int ncols2>\n"
        "void ggml_cuda_flash_attn_ext_mma_f16_case(ggml_backend_cuda_context & ctx, ggml_tensor * dst);\n";
    for (const char * arguments : UNDECLARED) {
        text += std::string("extern template void ggml_cuda_flash_attn_ext_mma_f16_case<") + arguments +
                ">(ggml_backend_cuda_context & ctx, ggml_tensor * dst);\n";
    }
    return text + include("fattn.cu");
}

// Query heads that share a KV head are put side by side in a tile: `second` columns; `first` times
// `second` is 8 to 64. Which `second` fattn.cu takes for a ratio, besides 1 when the mask or the
// strides forbid it.
static std::vector<int> second_columns(const std::array<int64_t, 3> & head) {
    const auto [k, v, ratio] = head;
    switch (k) {
        case 192: return {8, 16};
        case 320: return {32};
        case 576: return {4, 16, 32};
        default: break;
    }
    const int shared = ratio > 4 ? 8 : ratio > 2 ? 4 : ratio > 1 ? 2 : 1;
    if (k == 512) return {2, 4, 8};
    return shared == 1 ? std::vector<int>{1} : std::vector<int>{1, shared};
}

static std::vector<int> first_columns(int64_t k, int second) {
    if (k == 320) return {1, 2};
    if (k == 192) return second == 16 ? std::vector<int>{1, 2, 4} : std::vector<int>{1, 2, 4, 8};
    if (k == 576) return second == 4 ? std::vector<int>{2, 4, 8, 16} : second == 16 ? std::vector<int>{1, 2, 4} : std::vector<int>{1, 2};
    std::vector<int> found;
    for (int columns : {8, 16, 32, 64}) found.push_back(columns / second);
    return found;
}

static bool known_head(const std::array<int64_t, 3> & head) {
    static const std::array<int64_t, 2> HEADS[] = {{40, 40}, {64, 64}, {72, 72}, {80, 80}, {96, 96}, {112, 112}, {128, 128},
                                                   {192, 128}, {256, 256}, {320, 256}, {512, 512}, {576, 512}};
    return std::any_of(std::begin(HEADS), std::end(HEADS), [&](const auto & h) { return h[0] == head[0] && h[1] == head[1]; });
}

static void add_unit(std::vector<Unit> & units, const std::string & name, const std::string & source) {
    const auto same = [&](const Unit & unit) { return unit.name == name; };
    if (std::none_of(units.begin(), units.end(), same)) units.push_back({name, source});
}

static void plan_attention(std::vector<Unit> & units, const KernelSet & set, const Hardware & hardware) {
    add_unit(units, "fattn", attention_dispatch());
    bool tile = false;
    for (const auto & head : set.attention) {
        if (!known_head(head)) continue;
        const std::string sizes = std::to_string(head[0]) + ", " + std::to_string(head[1]);
        const std::string name = std::to_string(head[0]) + "-" + std::to_string(head[1]);
        const bool tensor = head[0] != 40 && head[0] != 72;
        if (!tensor || hardware.plain) {
            tile = true;
            add_unit(units, "fattn-tile-" + name, include("fattn-tile.cuh") + "DECL_FATTN_TILE_CASE(" + sizes + ");\n");
        }
        for (int second : tensor && hardware.matrix ? second_columns(head) : std::vector<int>{}) {
            std::string text = include("fattn-mma-f16.cuh");
            for (int first : first_columns(head[0], second)) {
                text += "DECL_FATTN_MMA_F16_CASE(" + sizes + ", " + std::to_string(first) + ", " + std::to_string(second) + ");\n";
            }
            add_unit(units, "fattn-mma-" + name + "-" + std::to_string(second), text);
        }
        if (head[0] != 64 && head[0] != 128 && head[0] != 256) continue;
        auto pairs = set.kv_types;
        pairs.insert({"f16", "f16"});  // what any other pair is converted to
        for (const auto & [k, v] : pairs) {
            if (k == "f32" || v == "f32") continue;
            add_unit(units, "fattn-vec-" + std::to_string(head[0]) + "-" + k + "-" + v,
                     include("fattn-vec.cuh") + "DECL_FATTN_VEC_CASE(" + std::to_string(head[0]) + ", " + enumerator(k) + ", " +
                         enumerator(v) + ");\n");
        }
    }
    if (tile) add_unit(units, "fattn-tile", include("fattn-tile.cu"));
}

static void plan_products(std::vector<Unit> & units, const KernelSet & set, const Strings & kept, const Hardware & hardware) {
    add_unit(units, "mmvq", narrowed("mmvq", kept));
    for (const auto & type : kept) {
        if (type == NO_MMQ) continue;
        std::string text = include("mmq.cuh") + "DECL_MMQ_CASE(" + enumerator(type) + ");\n";
        if (type == "mxfp4" || type == "nvfp4") text += "DECL_MMQ_CASE_W4A4(" + enumerator(type) + ");\n";
        add_unit(units, "mmq-" + type, text);
    }
    add_unit(units, "mmq", narrowed("mmq", kept));

    const bool flash = std::any_of(set.attention.begin(), set.attention.end(), known_head);
    bool vectors = !flash, matrices = false;
    for (const char * op : {"MUL_MAT", "MUL_MAT_ID"}) {
        for (const char * type : {"f32", "f16", "bf16"}) {
            const bool weight = std::strcmp(type, "f32") == 0 || set.weights.count(type) > 0;  // else the KV cache
            if (!weight || !has_source(set, op, type)) continue;
            vectors = true;
            matrices = matrices || std::strcmp(type, "f32") != 0;
        }
    }
    if (vectors) add_unit(units, "mmvf", include("mmvf.cu"));
    if (!matrices || !hardware.matrix) return;
    add_unit(units, "mmf", include("mmf.cu"));
    for (int columns = 1; columns <= 16; ++columns) {
        add_unit(units, "mmf-" + std::to_string(columns), few_columns(columns, factor_types(set), hardware));
    }
}

// A list of `items` as a C array, which must not be empty.
static std::string array(const std::string & declaration, const Strings & items, const std::string & none) {
    std::string text = "static const " + declaration + "[] = {";
    for (const auto & item : items) text += item + ", ";
    return text + (items.empty() ? none : "") + "};\n";
}

static std::string header(const KernelSet & set, const Strings & ops, const Strings & kept, bool matrices) {
    Strings op_values, left_out, heads, factors, float_only_ops;
    for (const char * type : {"f32", "f16", "bf16"}) {
        if (matrices && !contains(factor_types(set), type)) factors.push_back(enumerator(type));
    }
    for (const char * op : FLOAT_ONLY) float_only_ops.push_back(std::string("GGML_OP_") + op);
    for (const auto & op : ops) op_values.push_back("GGML_OP_" + op);
    for (const char * type : QUANTISED) {
        if (!contains(kept, type)) left_out.push_back(enumerator(type));
    }
    for (const auto & head : set.attention) {
        if (!known_head(head)) continue;
        heads.push_back("{" + std::to_string(head[0]) + ", " + std::to_string(head[1]) + ", " + std::to_string(head[2]) + "}");
    }
    return kernels_header(set, "cuda",
                          "// Elements of a K head and of a V head, query heads per KV head.\n"
                          "struct ingot_attention { int64_t k, v, ratio; };\n" +
                              array("int INGOT_OPS", op_values, "-1") + array("int INGOT_FLOAT_ONLY_OPS", float_only_ops, "-1") +
                              "// The first operand of a product.\n" + array("int INGOT_LEFT_OUT_FACTORS", factors, "-1") +
                              array("int INGOT_LEFT_OUT_TYPES", left_out, "-1") +
                              array("ingot_attention INGOT_ATTENTION", heads, "{0, 0, 0}"));
}

static Strings attention_defines(const KernelSet & set) {
    Strings defines;
    for (const char * k : KV_NAMES) {
        for (const char * v : KV_NAMES) {
            bool wanted = std::strcmp(k, "F16") == 0 && std::strcmp(v, "F16") == 0;
            for (const auto & [a, b] : set.kv_types) wanted = wanted || (upper(a) == k && upper(b) == v);
            defines.push_back(std::string("GGML_CUDA_FA_") + k + "_" + v + "=" + (wanted ? "1" : "0"));
        }
    }
    return defines;
}

static bool starts_with_any(const std::string & text, std::initializer_list<const char *> starts) {
    return std::any_of(starts.begin(), starts.end(), [&](const char * start) { return text.rfind(start, 0) == 0; });
}

Hardware hardware_of(Dialect dialect, const Strings & architectures) {
    Hardware found;
    found.dialect = dialect;
    if (dialect == Dialect::cuda) {
        for (const auto & capability : architectures) found.plain = found.plain || std::atoi(capability.c_str()) < 75;
        return found;
    }
    // Upstream's amd_mfma_available and amd_wmma_available (common.cuh); it uses neither for small batches.
    found = {dialect, false, true, false, false};
    for (const auto & name : architectures) {
        const bool cdna = starts_with_any(name, {"gfx908", "gfx90a", "gfx94", "gfx95"});
        const bool wmma = starts_with_any(name, {"gfx11", "gfx12"});
        found.matrix = found.matrix || cdna || wmma;
        found.tall   = found.tall || cdna;
        found.wide   = found.wide || wmma;
    }
    return found;
}

UnitPlan plan_units(const KernelSet & set, const Hardware & hardware) {
    const Strings kept = kept_types(set);
    UnitPlan plan;
    Strings files(std::begin(ALWAYS), std::end(ALWAYS)), ops;
    for (const auto & kind : set.ops) {
        const std::string op = base_op(kind);
        const Room * room = room_of(op);
        if (!room) {
            plan.left_out.push_back(kind);
            continue;
        }
        add(ops, op);
        for (const auto & file : split(room->files)) add(files, file);
    }
    // Fused by the backend where it sees the pattern of a mixture of experts.
    if (contains(ops, "MUL_MAT_ID")) for (const char * file : {"topk-moe", "moe-weighted-reduction"}) add(files, file);

    // In the order of their cost, so that the longest does not start last.
    plan_products(plan.units, set, kept, hardware);
    for (const auto & file : files) {
        const bool all_types = std::any_of(std::begin(NARROWED), std::end(NARROWED), [&](const char * n) { return file == n; });
        add_unit(plan.units, file, all_types ? narrowed(file, kept) : file == "binbcast" ? float_only(file) : include(file + ".cu"));
    }
    if (contains(ops, "FLASH_ATTN_EXT")) plan_attention(plan.units, set, hardware);
    else add_unit(plan.units, "fattn", attention_dispatch());  // the backend asks it what it supports
    if (hardware.dialect == Dialect::cuda) {  // ROCm's own libraries are linked
        for (const char * own : {"blas", "driver"}) add_unit(plan.units, own, include(std::string(own) + ".cu"));
    }
    add_unit(plan.units, "entry", include("entry.cc"));
    const bool matrices = std::any_of(plan.units.begin(), plan.units.end(), [](const Unit & unit) { return unit.name == "mmf"; });
    plan.header  = header(set, ops, kept, matrices);
    plan.defines = attention_defines(set);
    return plan;
}

}  // namespace ingot::gpu
