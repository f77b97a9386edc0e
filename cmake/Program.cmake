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

if(EXISTS ${CMAKE_SOURCE_DIR}/src/cli/main.cc)
  add_executable(tidemill src/cli/main.cc)
  target_link_libraries(tidemill PRIVATE cli)
  tidemill_precompile(tidemill)
  tidemill_find_libraries_beside(tidemill)
  install(TARGETS tidemill RUNTIME DESTINATION bin)
  install(FILES ${beside_files} DESTINATION lib)
endif()
