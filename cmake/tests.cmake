# Every tests/c/test_*.c is one program and one ctest. They see the internals of the runtime, so they link
# its objects; test_lua_*.c have the bindings and Lua as well.
file(GLOB c_tests CONFIGURE_DEPENDS tests/c/test_*.c)
add_library(perilune_tested STATIC EXCLUDE_FROM_ALL ${runtime_objects})
set_target_properties(perilune_tested PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(perilune_tested PUBLIC ${runtime_libraries})
target_include_directories(perilune_tested PUBLIC runtime runtime/include)
if(PERILUNE_LUA)
  add_library(perilune_lua_tested STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:perilune_bindings>)
  set_target_properties(perilune_lua_tested PROPERTIES LINKER_LANGUAGE C)
  target_link_libraries(perilune_lua_tested PUBLIC perilune_tested PkgConfig::LUA)
  target_include_directories(perilune_lua_tested PUBLIC ${PROJECT_SOURCE_DIR} bindings/include)
endif()
foreach(source IN LISTS c_tests)
  get_filename_component(name ${source} NAME_WE)
  set(tested perilune_tested)
  if(name MATCHES "^test_lua_")
    if(NOT PERILUNE_LUA)
      continue()
    endif()
    set(tested perilune_lua_tested)
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE perilune_flags ${tested})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 240 ENVIRONMENT
    "PERILUNE_SOURCE_DIR=${PROJECT_SOURCE_DIR};PERILUNE_BUILD_DIR=${PROJECT_BINARY_DIR}")
endforeach()

# tests/embed is a project of its own: hosts that find an installed Perilune, as a user's do, and run as its
# ctests. Sanitized libraries would need sanitized hosts, so those builds leave it out.
if(EXISTS ${PROJECT_SOURCE_DIR}/tests/embed/CMakeLists.txt AND NOT CMAKE_BUILD_TYPE STREQUAL "Sanitize")
  set(stage ${PROJECT_BINARY_DIR}/stage)
  add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${stage})
  add_test(NAME embed COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${PROJECT_SOURCE_DIR}/tests/embed ${PROJECT_BINARY_DIR}/embed
    --build-generator ${CMAKE_GENERATOR} --build-options -DCMAKE_PREFIX_PATH=${stage}
    -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} --test-command ${CMAKE_CTEST_COMMAND} --output-on-failure)
  set_tests_properties(install PROPERTIES FIXTURES_SETUP staged LABELS install)
  set_tests_properties(embed PROPERTIES FIXTURES_REQUIRED staged LABELS install TIMEOUT 240)
endif()
