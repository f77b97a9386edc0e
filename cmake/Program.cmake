# The program, what lies beside it in lib/, and its installation: bin/tidemill and lib/, nothing else.
file(GLOB extensions ${TIDEMILL_DEPS}/extensions/*.duckdb_extension)
set(beside_files ${extensions} ${TIDEMILL_DEPS}/onnxruntime/lib/libonnxruntime.so.1 ${TIDEMILL_DEPS}/lightgbm/lib/lib_lightgbm.so)
set(beside_outputs)
foreach(file ${beside_files})
  get_filename_component(name ${file} NAME)
  add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/lib/${name}
    COMMAND ${CMAKE_COMMAND} -DFROM=${file} -DTO=${CMAKE_BINARY_DIR}/lib/${name} -P ${CMAKE_SOURCE_DIR}/cmake/place.cmake
    DEPENDS ${file} VERBATIM)
  list(APPEND beside_outputs ${CMAKE_BINARY_DIR}/lib/${name})
endforeach()
add_custom_target(beside ALL DEPENDS ${beside_outputs})

file(GLOB drivers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/orchestrate/run*.cc)
if(drivers)  # commands cannot be linked without what they drive
  add_executable(tidemill src/cli/main.cc)
  target_link_libraries(tidemill PRIVATE cli)
  tidemill_precompile(tidemill)
  tidemill_find_libraries_beside(tidemill)
  if(CMAKE_BUILD_TYPE STREQUAL Release)
    # From here on a copy of bin/ and lib/ runs on a machine without these packages.
    add_custom_command(
      TARGET tidemill POST_BUILD
      COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:tidemill> -DTO=${CMAKE_BINARY_DIR}/lib -P ${CMAKE_SOURCE_DIR}/cmake/runtime.cmake VERBATIM)
  endif()
  install(TARGETS tidemill RUNTIME DESTINATION bin)
  install(DIRECTORY ${CMAKE_BINARY_DIR}/lib/ DESTINATION lib)
endif()
