# tidemill_embed(TARGET PATTERN...): puts files into the program.
#
# Each file that matches a pattern (relative to the root) becomes a function tidemill::embedded::NAME() that returns its bytes as a
# std::string_view, where NAME is the file's name with everything that is neither a letter nor a digit replaced by '_':
# schemas/model.json -> model_json(). Declare the function by hand in a header:
#
#   namespace tidemill::embedded { std::string_view model_json(); }
function(tidemill_embed target)
  find_program(python3 python3 REQUIRED)
  foreach(pattern ${ARGN})
    file(GLOB files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${pattern})
    foreach(file ${files})
      get_filename_component(name ${file} NAME)
      string(REGEX REPLACE "[^A-Za-z0-9]" "_" name ${name})
      set(output ${CMAKE_BINARY_DIR}/embedded/${target}/${name}.cc)
      add_custom_command(
        OUTPUT ${output}
        COMMAND ${python3} ${CMAKE_SOURCE_DIR}/cmake/embed.py ${CMAKE_SOURCE_DIR}/${file} ${name} ${output}
        DEPENDS ${CMAKE_SOURCE_DIR}/${file} ${CMAKE_SOURCE_DIR}/cmake/embed.py VERBATIM)
      target_sources(${target} PRIVATE ${output})
      set_source_files_properties(${output} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endforeach()
  endforeach()
endfunction()
