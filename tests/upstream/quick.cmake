# How upstream's programs are compiled in a third of the time (CMAKE_PROJECT_INCLUDE: read at each of
# upstream's project() calls, whose files stay as they are). Fewer, larger units, because most of a
# unit's time goes into the same headers; and optimised only where there are loops to wait for:
# arg.cpp alone takes half a minute with -O1.
if (PROJECT_NAME STREQUAL "ggml")
    set(CMAKE_UNITY_BUILD OFF)
    set(_flags "-O2 -DNDEBUG")
else()
    set(CMAKE_UNITY_BUILD ON)
    set(CMAKE_UNITY_BUILD_BATCH_SIZE 16)
    # Each of these defines what others of its library must not see.
    cmake_language(DEFER CALL set_source_files_properties common/json.cpp
        TARGET_DIRECTORY llama-common PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    cmake_language(DEFER CALL set_source_files_properties
        tools/mtmd/mtmd-helper.cpp tools/mtmd/mtmd-helper-gen.cpp
        TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    # zig adds checks for undefined behaviour to what it does not optimise.
    set(_flags "-O0 -DNDEBUG -fno-sanitize=undefined")
endif()
set(CMAKE_C_FLAGS_RELEASE "${_flags}")
set(CMAKE_CXX_FLAGS_RELEASE "${_flags}")
