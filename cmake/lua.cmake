# The bindings' objects, the module and the program.
pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4)
pkg_check_modules(LIBEDIT REQUIRED libedit)
find_library(LUA_STATIC_LIBRARY NAMES liblua5.4.a HINTS ${LUA_LIBRARY_DIRS})
mark_as_advanced(LUA_STATIC_LIBRARY)

# ---- bindings/lua becomes C arrays ----
file(GLOB_RECURSE lua_files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/bindings/lua bindings/lua/*.lua)
list(TRANSFORM lua_files PREPEND ${PROJECT_SOURCE_DIR}/bindings/lua/ OUTPUT_VARIABLE lua_paths)
set(lua_sources ${PROJECT_BINARY_DIR}/lua_sources.c)
set(embed_lua ${PROJECT_SOURCE_DIR}/cmake/embed_lua.cmake)
add_custom_command(
  OUTPUT ${lua_sources}
  COMMAND ${CMAKE_COMMAND} -DDIRECTORY=${PROJECT_SOURCE_DIR}/bindings/lua "-DFILES=${lua_files}"
          -DOUTPUT=${lua_sources} -P ${embed_lua}
  DEPENDS ${lua_paths} ${embed_lua}
  COMMENT "Embedding bindings/lua" VERBATIM)

# ---- objects: the bindings for both products, program and REPL for the program alone ----
function(perilune_bindings_objects target)
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE bindings bindings/include runtime runtime/include ${LUA_INCLUDE_DIRS})
  target_link_libraries(${target} PRIVATE perilune_flags OpenMP::OpenMP_C Threads::Threads)
endfunction()
file(GLOB bindings_sources CONFIGURE_DEPENDS bindings/*.c)
set(program_sources ${bindings_sources})
list(FILTER bindings_sources EXCLUDE REGEX "/(program|repl[a-z_]*)\\.c$")
list(FILTER program_sources INCLUDE REGEX "/(program|repl[a-z_]*)\\.c$")
perilune_bindings_objects(perilune_bindings ${bindings_sources} ${lua_sources})
perilune_bindings_objects(perilune_program_objects ${program_sources})

# ---- the module: Lua's calls come from whoever loads it, so it does not link liblua ----
add_library(perilune_module SHARED ${runtime_objects} $<TARGET_OBJECTS:perilune_bindings>)
set_target_properties(perilune_module PROPERTIES OUTPUT_NAME perilune_lua EXPORT_NAME lua
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
target_include_directories(perilune_module INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/bindings/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
perilune_shared(perilune_module)
add_library(perilune::lua ALIAS perilune_module)
# `require "perilune"` looks for perilune.so; being the same file, it is also the same library in a host
# that is linked with libperilune_lua.so already.
add_custom_command(TARGET perilune_module POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_SONAME_FILE_NAME:perilune_module> perilune.so
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM)

# ---- the program: all of Lua's calls are exported, for C modules that scripts require ----
add_executable(perilune ${runtime_objects} $<TARGET_OBJECTS:perilune_bindings>
  $<TARGET_OBJECTS:perilune_program_objects>)
set_target_properties(perilune PROPERTIES ENABLE_EXPORTS ON LINKER_LANGUAGE C)
if(LUA_STATIC_LIBRARY)
  target_link_libraries(perilune PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${LUA_STATIC_LIBRARY}>)
else()
  target_link_libraries(perilune PRIVATE PkgConfig::LUA)
endif()
target_link_libraries(perilune PRIVATE ${runtime_libraries})
target_link_options(perilune PRIVATE LINKER:--as-needed)
