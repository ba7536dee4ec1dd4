# What ctest runs of these hosts and of the installation that they were built with.
enable_testing()
set(prefix ${PACKAGE_PREFIX_DIR})
get_filename_component(pkgconfig ${perilune_DIR}/../../pkgconfig ABSOLUTE)
set(by_pkgconfig ${CMAKE_CURRENT_BINARY_DIR}/by-pkg-config)
file(MAKE_DIRECTORY ${by_pkgconfig})

add_test(NAME make COMMAND make -B -C ${by_pkgconfig} -f ${CMAKE_CURRENT_SOURCE_DIR}/Makefile
         CC=${CMAKE_C_COMPILER})
set_tests_properties(make PROPERTIES FIXTURES_SETUP made ENVIRONMENT PKG_CONFIG_PATH=${pkgconfig})
foreach(way cmake pkg-config)
  if(way STREQUAL cmake)
    set(directory ${CMAKE_CURRENT_BINARY_DIR})
  else()
    set(directory ${by_pkgconfig})
  endif()
  add_test(NAME ${way}-host COMMAND ${directory}/host ${CMAKE_CURRENT_SOURCE_DIR}/fit.lua)
  set_tests_properties(${way}-host PROPERTIES
    PASS_REGULAR_EXPRESSION "^y = 2\\.0000 x \\+ -1\\.0000, sample 1 is now \\(0, 0\\)\n$")
  add_test(NAME ${way}-host-status COMMAND ${directory}/host ${CMAKE_CURRENT_SOURCE_DIR}/fit.lua)
  add_test(NAME ${way}-host-missing COMMAND ${directory}/host nowhere.lua)
  set_tests_properties(${way}-host-missing PROPERTIES PASS_REGULAR_EXPRESSION "^host: cannot open nowhere\\.lua")
  add_test(NAME ${way}-lend COMMAND ${directory}/lend)
  add_test(NAME ${way}-limits COMMAND ${directory}/limits ${CMAKE_CURRENT_SOURCE_DIR}/guest.lua ${directory})
  set_tests_properties(${way}-limits PROPERTIES PASS_REGULAR_EXPRESSION "^it gave 1\n$")
  add_test(NAME ${way}-limits-time COMMAND ${directory}/limits ${CMAKE_CURRENT_SOURCE_DIR}/greedy.lua . 0.05)
  set_tests_properties(${way}-limits-time PROPERTIES PASS_REGULAR_EXPRESSION "^out of time: ")
  add_test(NAME ${way}-limits-missing COMMAND ${directory}/limits nowhere.lua)
  set_tests_properties(${way}-limits-missing PROPERTIES PASS_REGULAR_EXPRESSION "^usage: limits")
  add_test(NAME ${way}-limits-sandbox COMMAND ${directory}/limits ${CMAKE_CURRENT_SOURCE_DIR}/fit.lua)
  set_tests_properties(${way}-limits-sandbox PROPERTIES PASS_REGULAR_EXPRESSION "^an error: .*attempt to index a nil value")
  add_test(NAME ${way}-game COMMAND ${directory}/game ${CMAKE_CURRENT_SOURCE_DIR}/game.lua 2000 now)
  set_tests_properties(${way}-game PROPERTIES PASS_REGULAR_EXPRESSION "^2000 ticks, .* the longest [0-9.]+\n$")
  add_test(NAME ${way}-ring COMMAND ${directory}/ring ${CMAKE_CURRENT_SOURCE_DIR}/ring.lua 5000)
  set_tests_properties(${way}-ring PROPERTIES
    PASS_REGULAR_EXPRESSION "^5000 ticks, 3150 of them in two parts, the scores are right, memory is flat\n$")
  set_tests_properties(${way}-host ${way}-host-status ${way}-host-missing ${way}-lend ${way}-limits ${way}-limits-time
    ${way}-limits-missing ${way}-limits-sandbox ${way}-game ${way}-ring PROPERTIES FIXTURES_REQUIRED made)
endforeach()

# What scripts have trained, scored by hosts without Lua, and a training without Lua.
set(models ${CMAKE_CURRENT_BINARY_DIR}/models)
file(MAKE_DIRECTORY ${models})
add_test(NAME models COMMAND ${prefix}/bin/perilune ${CMAKE_CURRENT_SOURCE_DIR}/models.lua ${models})
set_tests_properties(models PROPERTIES FIXTURES_SETUP models)
foreach(model small wide machine pipeline)
  add_test(NAME server-${model} COMMAND server ${models}/${model}.model 8 20000)
  set_tests_properties(server-${model} PROPERTIES FIXTURES_REQUIRED models
    PASS_REGULAR_EXPRESSION "8 threads, [0-9]+ rows a second, a row takes p50 [0-9.]+ us, p99 [0-9.]+ us\n$")
endforeach()
# The same hosts with the library that only scores: each of its calls, and what it has no layers for.
foreach(model small wide machine pipeline)
  foreach(host ${CMAKE_CURRENT_BINARY_DIR}/server_score ${by_pkgconfig}/server_score)
    string(MD5 unique ${host})
    string(SUBSTRING ${unique} 0 4 unique)
    add_test(NAME server_score-${model}-${unique} COMMAND ${host} ${models}/${model}.model 2 20000)
    set_tests_properties(server_score-${model}-${unique} PROPERTIES FIXTURES_REQUIRED "models;made"
      PASS_REGULAR_EXPRESSION "2 threads, [0-9]+ rows a second, a row takes p50 [0-9.]+ us, p99 [0-9.]+ us\n$")
  endforeach()
endforeach()
add_test(NAME cpp_score COMMAND cpp_score ${models}/small.model 0.5 1)
set_tests_properties(cpp_score PROPERTIES FIXTURES_REQUIRED models PASS_REGULAR_EXPRESSION "^Sequential: -?[0-9.]+ -?[0-9.]+\n$")
add_test(NAME cpp_score-elsewhere COMMAND cpp_score ${models}/bags.model 1 2)
set_tests_properties(cpp_score-elsewhere PROPERTIES FIXTURES_REQUIRED models
  PASS_REGULAR_EXPRESSION "^cpp: load: .*bags.model: libperilune_score has no EmbeddingBag \\(libperilune has\\)")
add_test(NAME score-size COMMAND ${CMAKE_COMMAND} -DLIBRARY=$<TARGET_FILE:perilune::score> -DSTRIP=${CMAKE_STRIP}
  -DREADELF=${CMAKE_READELF} -DMOST=${PERILUNE_SCORE_MOST} -P ${CMAKE_CURRENT_SOURCE_DIR}/score_size.cmake)
add_test(NAME server-missing COMMAND server ${models}/none.model)
set_tests_properties(server-missing PROPERTIES PASS_REGULAR_EXPRESSION "^server: load: .*none.model: cannot be opened")
add_test(NAME cpp COMMAND cpp ${models}/small.model 0.5 1)
set_tests_properties(cpp PROPERTIES FIXTURES_REQUIRED models PASS_REGULAR_EXPRESSION "^Sequential: -?[0-9.]+ -?[0-9.]+\n$")
add_test(NAME cpp-wrong COMMAND cpp ${models}/small.model 0.5)
set_tests_properties(cpp-wrong PROPERTIES FIXTURES_REQUIRED models PASS_REGULAR_EXPRESSION "^cpp: a row of another length")
add_test(NAME mnist COMMAND mnist ${models} ${models}/digits.model "epochs = 3, batch_size = 20")
set_tests_properties(mnist PROPERTIES FIXTURES_REQUIRED models FIXTURES_SETUP digits
  PASS_REGULAR_EXPRESSION "^Sequential: [89][0-9]\.[0-9]+% of 500 images\n$")
# the model of C, read by a script
add_test(NAME mnist-model COMMAND ${prefix}/bin/perilune -e
  "print(#require('perilune').load_model('${models}/digits.model').classes)")
set_tests_properties(mnist-model PROPERTIES FIXTURES_REQUIRED digits PASS_REGULAR_EXPRESSION "^10\n$")
foreach(file share/doc/perilune/LICENSE share/doc/perilune/embedding.md share/man/man1/perilune.1)
  add_test(NAME installed-${file} COMMAND ${CMAKE_COMMAND} -E cat ${prefix}/${file})
endforeach()

# The stock interpreter requires the installed module, and the installed program finds its libraries.
find_program(STOCK_LUA NAMES lua5.4)
set(script "local peri = require 'perilune' assert(peri.ones(300, 300):matmul(peri.ones(300, 300))[{7, 8}] == 300)")
if(STOCK_LUA)
  add_test(NAME stock-lua COMMAND ${STOCK_LUA} -e ${script})
  set_tests_properties(stock-lua PROPERTIES ENVIRONMENT "LUA_CPATH_5_4=${prefix}/lib/lua/5.4/?.so")
endif()
add_test(NAME program COMMAND ${prefix}/bin/perilune -e ${script})
