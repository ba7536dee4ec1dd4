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
  set_tests_properties(${way}-host ${way}-host-status ${way}-host-missing ${way}-lend PROPERTIES FIXTURES_REQUIRED made)
endforeach()

# The stock interpreter requires the installed module, and the installed program finds its libraries.
find_program(STOCK_LUA NAMES lua5.4)
set(script "local peri = require 'perilune' assert(peri.ones(300, 300):matmul(peri.ones(300, 300))[{7, 8}] == 300)")
if(STOCK_LUA)
  add_test(NAME stock-lua COMMAND ${STOCK_LUA} -e ${script})
  set_tests_properties(stock-lua PROPERTIES ENVIRONMENT "LUA_CPATH_5_4=${prefix}/lib/lua/5.4/?.so")
endif()
add_test(NAME program COMMAND ${prefix}/bin/perilune -e ${script})
