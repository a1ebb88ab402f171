# GNU/Linux on x86-64, compiled by the pinned zig. The builder writes the wrapper scripts
# (zig cc -target ...; see builder/ingot/toolchain/zig.py) and names their folder.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

set(INGOT_TOOLCHAIN_DIR "" CACHE PATH "folder of the compiler wrapper scripts")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES INGOT_TOOLCHAIN_DIR)
set(CMAKE_C_COMPILER   "${INGOT_TOOLCHAIN_DIR}/cc")
set(CMAKE_CXX_COMPILER "${INGOT_TOOLCHAIN_DIR}/c++")
set(CMAKE_AR           "${INGOT_TOOLCHAIN_DIR}/ar"     CACHE FILEPATH "")
set(CMAKE_RANLIB       "${INGOT_TOOLCHAIN_DIR}/ranlib" CACHE FILEPATH "")

# zig emits debug information otherwise: 153 MB of it.
set(CMAKE_C_FLAGS_INIT             "-g0")
set(CMAKE_CXX_FLAGS_INIT           "-g0")
set(CMAKE_EXE_LINKER_FLAGS_INIT    "-s")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s")

# Nothing of the building machine may be found and linked by accident.
set(CMAKE_FIND_ROOT_PATH              "${INGOT_TOOLCHAIN_DIR}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
