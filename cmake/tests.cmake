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

# The errors of the elementwise functions, where MPFR is there: ./dev accuracy measures more arguments than the test.
find_path(MPFR_INCLUDE_DIR mpfr.h)
find_library(MPFR_LIBRARY mpfr)
find_library(GMP_LIBRARY gmp)
if(MPFR_INCLUDE_DIR AND MPFR_LIBRARY AND GMP_LIBRARY)
  add_executable(accuracy tests/accuracy/accuracy.c)
  target_include_directories(accuracy PRIVATE ${MPFR_INCLUDE_DIR})
  target_link_libraries(accuracy PRIVATE perilune_flags perilune_tested ${MPFR_LIBRARY} ${GMP_LIBRARY})
  set_target_properties(accuracy PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME accuracy COMMAND accuracy 2000 65521)
  set_tests_properties(accuracy PROPERTIES TIMEOUT 240)
endif()

# tests/fuzz/fuzz_*.c feed arbitrary bytes to the readers of files. With libFuzzer, in the sanitized build, each makes a
# counted number of runs from its corpus, the same ones every time, with coverage of the readers; elsewhere
# standalone.c changes each file of the corpus in a thousand ways. By hand, for long: see tests/fuzz/fuzz.h.
include(CheckCSourceCompiles)
set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer)
check_c_source_compiles("#include <stddef.h>
  int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size) { return bytes == NULL && size > 0; }"
  PERILUNE_HAS_LIBFUZZER)
unset(CMAKE_REQUIRED_FLAGS)
if(CMAKE_BUILD_TYPE STREQUAL "Sanitize" AND PERILUNE_HAS_LIBFUZZER)
  set(fuzz_driver)
  set(fuzz_link -fsanitize=fuzzer)
  file(GLOB_RECURSE readers CONFIGURE_DEPENDS runtime/data/*.c runtime/svm/*libsvm*.c)
  add_library(perilune_fuzzed OBJECT EXCLUDE_FROM_ALL ${readers}) # once more, with coverage
  target_compile_options(perilune_fuzzed PRIVATE -fsanitize=fuzzer-no-link)
  target_include_directories(perilune_fuzzed PRIVATE runtime runtime/include)
  target_link_libraries(perilune_fuzzed PRIVATE perilune_flags ${runtime_libraries})
  set(fuzz_objects $<TARGET_OBJECTS:perilune_fuzzed>)
else()
  set(fuzz_driver tests/fuzz/standalone.c)
  set(fuzz_link)
  set(fuzz_objects)
endif()
# runs: what takes about three seconds
function(fuzz_test name runs tested)
  add_executable(fuzz_${name} tests/fuzz/fuzz_${name}.c ${fuzz_driver} ${fuzz_objects})
  target_link_libraries(fuzz_${name} PRIVATE perilune_flags ${tested})
  target_link_options(fuzz_${name} PRIVATE ${fuzz_link})
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  file(GLOB corpus CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}/*)
  set(arguments ${corpus})
  if(fuzz_link)
    list(JOIN corpus "," inputs)
    set(arguments -runs=${runs} -seed=1 -max_len=4096 -verbosity=0 -seed_inputs=${inputs}
        -dict=${PROJECT_SOURCE_DIR}/tests/fuzz/${name}.dict -artifact_prefix=${PROJECT_BINARY_DIR}/tests/fuzz_${name}-)
  endif()
  add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${arguments})
  set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 240)
endfunction()
fuzz_test(csv 3000 perilune_tested)
fuzz_test(idx 100000 perilune_tested)
fuzz_test(libsvm 15000 perilune_tested)
fuzz_test(safetensors 40000 perilune_tested)
fuzz_test(svmlight 10000 perilune_tested)
if(PERILUNE_LUA)
  fuzz_test(machine 2000 perilune_lua_tested)
endif()

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
