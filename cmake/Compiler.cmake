# Flags that every target shares. Bit equality of results rests on some of them: no fused multiply-add, no fast-math, one instruction set.
find_package(Threads REQUIRED)

add_compile_options(-Wall -Wextra -Werror -ffp-contract=off -march=x86-64-v2 -fno-omit-frame-pointer)
# GCC 12 reports these wrongly for std::string, std::optional and std::variant once they are inlined.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized)
else()
  add_compile_options(-Wno-error)  # GCC's warnings count
endif()
add_compile_definitions(TIDEMILL_VERSION="${PROJECT_VERSION}")

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g1")

set(TIDEMILL_SANITIZE "" CACHE STRING "Sanitizers to compile with: address,undefined or thread")
if(TIDEMILL_SANITIZE)
  add_compile_options(-O1 -fsanitize=${TIDEMILL_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TIDEMILL_SANITIZE})
  if(TIDEMILL_SANITIZE STREQUAL thread)
    add_compile_options(-Wno-tsan)  # Asio's memory fences, which the sanitizer does not follow
  endif()
endif()

find_program(mold mold)
if(mold)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--as-needed)

# Paths are rewritten relative to the source folder, so that several checkouts share the compiler cache.
find_program(ccache ccache)
if(ccache)
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess> -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${ccache})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# Compilers need memory: never more than two jobs at once, however ninja is called.
set_property(GLOBAL PROPERTY JOB_POOLS jobs=2)
set(CMAKE_JOB_POOL_COMPILE jobs)
set(CMAKE_JOB_POOL_LINK jobs)

# One precompiled header for all folders: the standard library, nlohmann/json and fmt, nothing of ours.
file(WRITE ${CMAKE_BINARY_DIR}/precompiled.cc.new "")
file(COPY_FILE ${CMAKE_BINARY_DIR}/precompiled.cc.new ${CMAKE_BINARY_DIR}/precompiled.cc ONLY_IF_DIFFERENT)
add_library(precompiled OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
target_precompile_headers(precompiled PRIVATE
  <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <compare> <condition_variable> <cstdint> <cstring> <deque> <exception> <filesystem>
  <fstream> <functional> <iterator> <limits> <map> <memory> <mutex> <numeric> <optional> <set> <span> <sstream> <stdexcept> <string>
  <string_view> <thread> <tuple> <type_traits> <unordered_map> <unordered_set> <utility> <variant> <vector>
  <nlohmann/json.hpp> <fmt/core.h> <fmt/format.h>)
