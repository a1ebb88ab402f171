# For an engine that is not the pinned one: the two verbs that ingot compare runs it by
# (runtime/programs/instrument.cc), and the CPU modules. The runtime is written for the pinned engine;
# what little of it is compiled here fits older ones as well, with the differences below.
set(VERB_SOURCES "${RUNTIME_DIR}/verbs/embed.cc" "${RUNTIME_DIR}/verbs/texts.cc" "${RUNTIME_DIR}/verbs/trace.cc")
add_compile_definitions(INGOT_INSTRUMENT)

# Until 0.3.35 the engine had its hash functions in an example.
if (TARGET vendor-hash)
    set(VERB_LIBRARIES vendor-hash)
else()
    set(_hash "${INGOT_ENGINE_DIR}/examples/gguf-hash/deps")
    add_library(ingot-hash STATIC "${_hash}/sha256/sha256.c")
    target_include_directories(ingot-hash PUBLIC "${CMAKE_BINARY_DIR}/generated" PRIVATE "${_hash}")
    file(WRITE "${CMAKE_BINARY_DIR}/generated/hash/sha256/sha256.h" "#include \"${_hash}/sha256/sha256.h\"\n")
    set(VERB_LIBRARIES ingot-hash)
endif()
