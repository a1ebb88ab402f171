# CPU modules: upstream's ggml-cpu sources once per instruction-set level, as loadable
# modules that take ggml's core from the program. Levels and flags are upstream's
# (ggml/src/CMakeLists.txt and ggml-cpu/CMakeLists.txt). Seven of its fourteen: README.md
# says which are left out and why.
set(INGOT_CPU_LEVELS sse42 haswell alderlake skylakex cascadelake cooperlake sapphirerapids)
set(_avx2   SSE42 AVX F16C FMA AVX2 BMI2)
set(_avx512 ${_avx2} AVX512)
set(INGOT_CPU_sse42          SSE42)
set(INGOT_CPU_haswell        ${_avx2})
set(INGOT_CPU_alderlake      ${_avx2} AVX_VNNI)
set(INGOT_CPU_skylakex       ${_avx512})
set(INGOT_CPU_cascadelake    ${_avx512} AVX512_VNNI)
set(INGOT_CPU_cooperlake     ${_avx512} AVX512_VNNI AVX512_BF16)
set(INGOT_CPU_sapphirerapids ${_avx512} AVX512_VBMI AVX512_VNNI AVX512_BF16 AMX_TILE AMX_INT8)

set(_flags_SSE42 -msse4.2)
set(_flags_AVX -mavx)
set(_flags_F16C -mf16c)
set(_flags_FMA -mfma)
set(_flags_AVX2 -mavx2)
set(_flags_BMI2 -mbmi2)
set(_flags_AVX_VNNI -mavxvnni)
set(_flags_AVX512 -mavx512f -mavx512cd -mavx512vl -mavx512dq -mavx512bw)
set(_flags_AVX512_VBMI -mavx512vbmi)
set(_flags_AVX512_VNNI -mavx512vnni)
set(_flags_AVX512_BF16 -mavx512bf16)
set(_flags_AMX_TILE -mamx-tile)
set(_flags_AMX_INT8 -mamx-int8)

# Source list, include folders and definitions are read off upstream's own target, so
# that a new engine needs no edit here.
get_target_property(_cpu_sources ggml-cpu SOURCES)
get_target_property(_cpu_definitions ggml-cpu COMPILE_DEFINITIONS)
get_target_property(_cpu_dir ggml-cpu SOURCE_DIR)
list(TRANSFORM _cpu_sources PREPEND "${_cpu_dir}/")

add_custom_target(ingot-modules)
add_library(ingot-cpu-scores STATIC)
set(_table "")
foreach (level ${INGOT_CPU_LEVELS})
    set(_defs "")
    set(_arch "")
    foreach (feature ${INGOT_CPU_${level}})
        list(APPEND _defs GGML_${feature})
        list(APPEND _arch ${_flags_${feature}})
    endforeach()

    set(_module ggml-cpu-${level})
    add_library(${_module} MODULE ${_cpu_sources})
    target_include_directories(${_module} PRIVATE "${_cpu_dir}" "${_cpu_dir}/ggml-cpu" "${_cpu_dir}/../include")
    target_compile_definitions(${_module} PRIVATE ${_cpu_definitions} ${_defs}
        _XOPEN_SOURCE=600 _GNU_SOURCE GGML_BACKEND_DL GGML_BACKEND_BUILD GGML_BACKEND_SHARED)
    target_compile_options(${_module} PRIVATE ${_arch})
    # -z nodelete: a module that runs under zig's libc++ has no DT_FINI and must not be unmapped.
    target_link_options(${_module} PRIVATE -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--gc-sections
        "-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/module_exports.map")
    set_target_properties(${_module} PROPERTIES PREFIX "" POSITION_INDEPENDENT_CODE ON
        LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/modules")
    add_dependencies(ingot-modules ${_module})

    # Upstream's score function, compiled for the lowest level and linked into the program:
    # a module that this CPU cannot run is never even mapped.
    set(_score ingot_cpu_score_${level})
    add_library(${_score} OBJECT "${_cpu_dir}/ggml-cpu/arch/x86/cpu-feats.cpp")
    target_include_directories(${_score} PRIVATE "${_cpu_dir}" "${_cpu_dir}/../include")
    target_compile_definitions(${_score} PRIVATE ${_defs} GGML_BACKEND_DL ggml_backend_score=${_score})
    target_sources(ingot-cpu-scores PRIVATE $<TARGET_OBJECTS:${_score}>)
    string(APPEND _table "INGOT_CPU_LEVEL(${level}, ${_score})\n")
endforeach()
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/generated/cpu_levels.inc" CONTENT "${_table}")
