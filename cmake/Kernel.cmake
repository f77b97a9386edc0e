# libtidemill_kernel.so: the feature kernel alone, with the C interface of src/feature/program/tidemill_kernel.h and nothing else to see. It is
# compiled apart from the folders' libraries, whose code can't be moved in memory.
foreach(folder base feature/program)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cc)
  list(FILTER sources EXCLUDE REGEX "(_test|/sha256)\\.cc$")
  string(REPLACE "/" "_" part ${folder})
  tidemill_unity(sources kernel_${part})
  list(APPEND kernel_sources ${sources})
endforeach()
add_library(tidemill_kernel SHARED ${kernel_sources})
target_include_directories(tidemill_kernel PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(tidemill_kernel PRIVATE FMT_HEADER_ONLY)
target_compile_options(tidemill_kernel PRIVATE -fvisibility=hidden -fvisibility-inlines-hidden -ffunction-sections -fdata-sections)
# Debian's libre2.a can't be part of a shared library: RE2 lies beside it, as the program's does.
set(kernel_exports ${CMAKE_SOURCE_DIR}/cmake/kernel_exports.map)
target_link_libraries(tidemill_kernel PRIVATE vendor_re2 vendor_musl_math Threads::Threads)
target_link_options(tidemill_kernel PRIVATE -Wl,--gc-sections -Wl,--exclude-libs,ALL -Wl,--no-undefined -Wl,--version-script=${kernel_exports})
set_property(TARGET tidemill_kernel APPEND PROPERTY LINK_DEPENDS ${kernel_exports})
target_precompile_headers(tidemill_kernel PRIVATE
  <algorithm> <functional> <map> <memory> <optional> <span> <string> <string_view> <unordered_map> <variant> <vector> <nlohmann/json.hpp> <fmt/format.h>)
set_target_properties(tidemill_kernel PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
add_custom_command(TARGET tidemill_kernel POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/include
  COMMAND ${CMAKE_COMMAND} -E copy_if_different ${CMAKE_SOURCE_DIR}/src/feature/program/tidemill_kernel.h ${CMAKE_BINARY_DIR}/include/
  VERBATIM)
install(FILES src/feature/program/tidemill_kernel.h DESTINATION include)
