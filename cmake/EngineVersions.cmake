# The definitions of src/base/engine_versions.h, from the names of the pinned files.
set(lock ${CMAKE_SOURCE_DIR}/scripts/dependencies.lock)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${lock})
file(READ ${lock} pinned)

# tidemill_engine_version(NAME FILE): appends the constant kNAMEVersion, with the version in the pinned file's name.
function(tidemill_engine_version name file)
  if(NOT pinned MATCHES "${file}-([0-9]+\\.[0-9]+\\.[0-9]+)-")
    message(FATAL_ERROR "no version of ${file} in ${lock}")
  endif()
  set(definitions "${definitions}const std::string_view k${name}Version = \"${CMAKE_MATCH_1}\";\n" PARENT_SCOPE)
endfunction()

set(definitions "")
tidemill_engine_version(DuckDb duckdb_extension_ducklake)
tidemill_engine_version(Lightgbm lightgbm)
tidemill_engine_version(OnnxRuntime onnxruntime)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/folders/engine_versions.cc CONTENT
  "#include \"base/engine_versions.h\"\n\nnamespace tidemill {\n\n${definitions}\n}  // namespace tidemill\n" @ONLY)
target_sources(base PRIVATE ${CMAKE_BINARY_DIR}/folders/engine_versions.cc)
