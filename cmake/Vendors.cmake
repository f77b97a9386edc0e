# Third-party libraries, one target vendor_NAME each; a folder sees only those that it names. Debian's packages are found by the compiler
# itself, the pinned parts lie where scripts/install-dependencies put them.
if(NOT TIDEMILL_DEPS)
  if(DEFINED ENV{TIDEMILL_DEPS})
    set(TIDEMILL_DEPS $ENV{TIDEMILL_DEPS})
  else()
    set(TIDEMILL_DEPS ${CMAKE_SOURCE_DIR}/.deps)
  endif()
endif()
set(TIDEMILL_DEPS ${TIDEMILL_DEPS} CACHE PATH "Where scripts/install-dependencies put the pinned parts" FORCE)
if(NOT EXISTS ${TIDEMILL_DEPS}/installed)
  message(FATAL_ERROR "dependencies are missing in ${TIDEMILL_DEPS}: run scripts/install-dependencies")
endif()

# tidemill_vendor(NAME [INCLUDE folder...] [LINK library...] [DEFINE macro...])
function(tidemill_vendor name)
  cmake_parse_arguments(arg "" "" "INCLUDE;LINK;DEFINE" ${ARGN})
  add_library(vendor_${name} INTERFACE)
  target_include_directories(vendor_${name} SYSTEM INTERFACE ${arg_INCLUDE})
  target_link_libraries(vendor_${name} INTERFACE ${arg_LINK})
  target_compile_definitions(vendor_${name} INTERFACE ${arg_DEFINE})
endfunction()

file(GLOB duckdb_archives ${TIDEMILL_DEPS}/duckdb/lib/*.a)
if(TIDEMILL_SHARED_DUCKDB)
  # The linker puts the archives into one shared library, once; afterwards programs link at once.
  set(duckdb_shared ${CMAKE_BINARY_DIR}/lib/libtidemill_duckdb.so)
  add_custom_command(
    OUTPUT ${duckdb_shared}
    COMMAND ${CMAKE_CXX_COMPILER} -shared $<$<BOOL:${mold}>:-fuse-ld=mold> -o ${duckdb_shared} -Wl,-soname,libtidemill_duckdb.so
            -Wl,--whole-archive ${TIDEMILL_DEPS}/duckdb/lib/libduckdb_static.a -Wl,--no-whole-archive
            -Wl,--start-group ${duckdb_archives} -Wl,--end-group -ldl -lpthread
    DEPENDS ${duckdb_archives} VERBATIM)
  add_custom_target(duckdb_shared DEPENDS ${duckdb_shared})
  tidemill_vendor(duckdb INCLUDE ${TIDEMILL_DEPS}/duckdb/include LINK ${duckdb_shared})
  add_dependencies(vendor_duckdb duckdb_shared)
else()
  tidemill_vendor(duckdb INCLUDE ${TIDEMILL_DEPS}/duckdb/include LINK -Wl,--start-group ${duckdb_archives} -Wl,--end-group dl Threads::Threads)
endif()

tidemill_vendor(onnxruntime INCLUDE ${TIDEMILL_DEPS}/onnxruntime/include LINK ${TIDEMILL_DEPS}/onnxruntime/lib/libonnxruntime.so.1)
tidemill_vendor(lightgbm INCLUDE ${TIDEMILL_DEPS}/lightgbm/include LINK ${TIDEMILL_DEPS}/lightgbm/lib/lib_lightgbm.so)
tidemill_vendor(onnx LINK onnx_proto protobuf DEFINE ONNX_ML=1 ONNX_NAMESPACE=onnx)
tidemill_vendor(eigen INCLUDE /usr/include/eigen3 DEFINE EIGEN_DONT_PARALLELIZE)
tidemill_vendor(rocksdb LINK rocksdb)
# Boost is used as headers only (Beast, Asio, URL).
tidemill_vendor(boost LINK Threads::Threads DEFINE BOOST_ASIO_NO_DEPRECATED)
tidemill_vendor(openssl LINK ssl crypto)
tidemill_vendor(openssl_crypto LINK crypto)
tidemill_vendor(yaml_cpp LINK yaml-cpp)
tidemill_vendor(sqlite LINK sqlite3)
tidemill_vendor(libzip LINK zip)
tidemill_vendor(zlib LINK z)
tidemill_vendor(re2 LINK re2)
tidemill_vendor(cli11)

file(GLOB_RECURSE nanoarrow_sources ${TIDEMILL_DEPS}/nanoarrow/src/*.c)
add_library(nanoarrow STATIC EXCLUDE_FROM_ALL ${nanoarrow_sources})
target_include_directories(nanoarrow SYSTEM PUBLIC ${TIDEMILL_DEPS}/nanoarrow/include PRIVATE ${TIDEMILL_DEPS}/nanoarrow/include/nanoarrow)
target_compile_options(nanoarrow PRIVATE -w)
if(TIDEMILL_SANITIZE)
  # It checks the offsets of damaged streams where they lie, aligned or not. What it hands on are copies, which are aligned.
  target_compile_options(nanoarrow PRIVATE -fno-sanitize=alignment)
endif()
tidemill_vendor(nanoarrow INCLUDE ${TIDEMILL_DEPS}/nanoarrow/include LINK nanoarrow)

# The mathematical functions of musl's static C library, taken out of it and renamed (exp -> musl_exp), so that only the kernel
# uses them: the same bits on every machine (docs/adr/0004-exact-sums.md).
find_file(musl_libc libc.a PATHS /usr/lib/${CMAKE_SYSTEM_PROCESSOR}-linux-musl NO_DEFAULT_PATH)
if(NOT musl_libc)
  message(FATAL_ERROR "musl's libc.a is missing: install the package musl-dev")
endif()
set(musl_math ${CMAKE_BINARY_DIR}/lib/libtidemill_musl_math.a)
set(musl_math_object ${CMAKE_BINARY_DIR}/musl_math.o)
set(musl_wanted "")
foreach(function exp log log2 log10 pow sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh cbrt)
  list(APPEND musl_wanted -u ${function})
endforeach()
add_custom_command(
  OUTPUT ${musl_math}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/lib
  COMMAND ${CMAKE_LINKER} -r ${musl_wanted} -o ${musl_math_object} ${musl_libc}
  COMMAND ${CMAKE_OBJCOPY} --prefix-symbols=musl_ ${musl_math_object}
  COMMAND ${CMAKE_OBJCOPY} --redefine-sym musl__GLOBAL_OFFSET_TABLE_=_GLOBAL_OFFSET_TABLE_ ${musl_math_object}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${musl_math}
  COMMAND ${CMAKE_AR} qc ${musl_math} ${musl_math_object}
  DEPENDS ${musl_libc} VERBATIM)
add_custom_target(musl_math_archive DEPENDS ${musl_math})
tidemill_vendor(musl_math LINK ${musl_math})
add_dependencies(vendor_musl_math musl_math_archive)
