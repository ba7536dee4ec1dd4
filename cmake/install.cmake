# cmake --install build --prefix P: headers, libraries, pkg-config files, the CMake package, the Lua module,
# the program and its page of the manual, the licence and the documents. Nothing in the result knows P: it may be moved.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/perilune)
set(lua_module_dir lib/lua/5.4) # where LUA_CPATH and package.cpath look, whatever the system's libdir

install(TARGETS perilune_runtime perilune_static EXPORT perilune-targets)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(DIRECTORY runtime/include/perilune DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(pc_files perilune.pc)
if(PERILUNE_SCORE)
  install(TARGETS perilune_score perilune_score_static EXPORT perilune-targets)
  list(APPEND pc_files perilune-score.pc)
endif()
if(PERILUNE_LUA)
  install(TARGETS perilune_module perilune_module_static EXPORT perilune-targets)
  install(TARGETS perilune)
  install(FILES docs/perilune.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES cmake/perilune.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME perilune)
  if(PERILUNE_KERNEL)
    install(TARGETS perilune_kernel LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
  install(DIRECTORY bindings/include/perilune DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  file(RELATIVE_PATH module_target /${lua_module_dir}
       /${CMAKE_INSTALL_LIBDIR}/libperilune_lua.so.${PROJECT_VERSION_MAJOR})
  install(CODE "
    set(directory \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${lua_module_dir}\")
    file(MAKE_DIRECTORY \"\${directory}\")
    file(CREATE_LINK ${module_target} \"\${directory}/perilune.so\" SYMBOLIC)
    message(STATUS \"Installing: \${directory}/perilune.so\")")
  list(APPEND pc_files perilune-lua.pc)
endif()
install(EXPORT perilune-targets NAMESPACE perilune:: DESTINATION ${package_dir})

set(PACKAGE_LIBRARIES "z;pthread;m;dl")
configure_package_config_file(cmake/perilune-config.cmake.in ${PROJECT_BINARY_DIR}/perilune-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/perilune-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/perilune-config.cmake ${PROJECT_BINARY_DIR}/perilune-config-version.cmake
        DESTINATION ${package_dir})

file(RELATIVE_PATH PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PC_PREFIX "${PC_PREFIX}")
foreach(file IN LISTS pc_files)
  configure_file(cmake/${file}.in ${PROJECT_BINARY_DIR}/${file} @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${file} DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
