# The verbs, as upstream's own libraries. Their CMake files speak of
# PROJECT_SOURCE_DIR and of the llama-ui target, which here is ours (runtime/ui.cc).
add_library(llama-ui INTERFACE)
target_include_directories(llama-ui INTERFACE "${RUNTIME_DIR}/ui")
add_custom_target(llama-ui-assets)
set(LLAMA_TOOLS_INSTALL OFF)
block()
    set(PROJECT_SOURCE_DIR "${INGOT_ENGINE_DIR}")
    foreach (tool server cli completion llama-bench perplexity quantize)
        add_subdirectory("${INGOT_ENGINE_DIR}/tools/${tool}" "engine-tools/${tool}" EXCLUDE_FROM_ALL)
    endforeach()
endblock()

# Every executable carries these, and none has a loop that a user waits for: that is in the libraries
# below them, and in sampling.
foreach (target llama-server-impl llama-cli-impl llama-completion-impl llama-bench-impl llama-common)
    target_compile_options(${target} PRIVATE -Os)
endforeach()
set_property(SOURCE "${INGOT_ENGINE_DIR}/common/sampling.cpp" TARGET_DIRECTORY llama-common
    APPEND PROPERTY COMPILE_OPTIONS -O3)

file(GLOB VERB_SOURCES CONFIGURE_DEPENDS "${RUNTIME_DIR}/verbs/*.cc" "${RUNTIME_DIR}/ui/*.cc"
    "${RUNTIME_DIR}/judge/*.cc" "${RUNTIME_DIR}/server/*.cc")
set(VERB_LIBRARIES llama-cli-impl llama-server-impl llama-completion-impl llama-bench-impl llama-perplexity-impl
    mtmd vendor-hash)
