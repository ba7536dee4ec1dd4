# The bindings' objects, the module and the program.
pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4)
pkg_check_modules(LIBEDIT REQUIRED libedit) # for its header: the REPL opens the library by dlopen
find_library(LUA_STATIC_LIBRARY NAMES liblua5.4.a HINTS ${LUA_LIBRARY_DIRS})
mark_as_advanced(LUA_STATIC_LIBRARY)

# embed(output.c table folder file...): files of the folder become a table of bindings/core/lua_sources.h.
function(embed output table folder)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/${folder}/ OUTPUT_VARIABLE paths)
  set(script ${PROJECT_SOURCE_DIR}/cmake/embed_lua.cmake)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DDIRECTORY=${PROJECT_SOURCE_DIR}/${folder} "-DFILES=${ARGN}"
            -DTABLE=${table} -DOUTPUT=${output} -P ${script}
    DEPENDS ${paths} ${script}
    COMMENT "Embedding files of ${folder}" VERBATIM)
endfunction()

# ---- program/ and lua/program/ are the program's own; all else is the module's, and one file is of both ----
file(GLOB bindings_sources CONFIGURE_DEPENDS bindings/*/*.c)
file(GLOB program_sources CONFIGURE_DEPENDS bindings/program/*.c)
file(GLOB kernel_sources CONFIGURE_DEPENDS bindings/kernel/*.c)
list(REMOVE_ITEM bindings_sources ${program_sources} ${kernel_sources})
file(GLOB_RECURSE bindings_lua CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/bindings/lua bindings/lua/*.lua)
set(program_lua ${bindings_lua})
list(FILTER bindings_lua EXCLUDE REGEX "^program/")
list(FILTER program_lua INCLUDE REGEX "^program/|^internal/text")
embed(${PROJECT_BINARY_DIR}/bindings_lua.c peri_lua_sources bindings/lua ${bindings_lua})
embed(${PROJECT_BINARY_DIR}/program_lua.c peri_lua_sources bindings/lua ${program_lua})
# what models that become C take of the runtime's functions
embed(${PROJECT_BINARY_DIR}/bindings_runtime.c peri_runtime_sources runtime
      kernels/mathfun.h kernels/special.h kernels/activations.h)

add_library(perilune_bindings OBJECT ${bindings_sources} ${PROJECT_BINARY_DIR}/bindings_lua.c
  ${PROJECT_BINARY_DIR}/bindings_runtime.c)
target_include_directories(perilune_bindings PRIVATE ${PROJECT_SOURCE_DIR} bindings/include runtime runtime/include
  ${LUA_INCLUDE_DIRS})
target_link_libraries(perilune_bindings PRIVATE perilune_flags ${runtime_libraries})
target_compile_options(perilune_bindings PRIVATE -fno-plt) # a step makes hundreds of calls of Lua's, straight to it

# ---- the module: Lua's calls come from whoever loads it, so it does not link liblua ----
add_library(perilune_module SHARED ${runtime_objects} $<TARGET_OBJECTS:perilune_bindings>)
set_target_properties(perilune_module PROPERTIES OUTPUT_NAME perilune_lua EXPORT_NAME lua
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
target_include_directories(perilune_module INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/bindings/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
perilune_shared(perilune_module)
add_library(perilune::lua ALIAS perilune_module)
add_library(perilune_module_static STATIC ${runtime_objects} $<TARGET_OBJECTS:perilune_bindings>)
set_target_properties(perilune_module_static PROPERTIES OUTPUT_NAME perilune_lua EXPORT_NAME lua_static
  LINKER_LANGUAGE C)
target_include_directories(perilune_module_static INTERFACE
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(perilune_module_static INTERFACE $<INSTALL_INTERFACE:perilune::libraries>)
# `require "perilune"` looks for perilune.so; being the same file, it is also the same library in a host
# that is linked with libperilune_lua.so already.
add_custom_command(TARGET perilune_module POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_SONAME_FILE_NAME:perilune_module> perilune.so
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM)

# ---- the program: all of Lua's calls are exported, for the module and other C modules; it opens the
# module's library by name, which RPATH finds beside it in the build and in the libraries' place installed ----
add_executable(perilune ${program_sources} ${PROJECT_BINARY_DIR}/program_lua.c)
set_target_properties(perilune PROPERTIES ENABLE_EXPORTS ON)
file(RELATIVE_PATH program_to_libraries /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(perilune PROPERTIES BUILD_RPATH $ORIGIN INSTALL_RPATH $ORIGIN/${program_to_libraries})
target_include_directories(perilune PRIVATE ${PROJECT_SOURCE_DIR} bindings/include runtime/include
  ${LUA_INCLUDE_DIRS} ${LIBEDIT_INCLUDE_DIRS})
target_compile_definitions(perilune PRIVATE
  PERI_MODULE_LIBRARY="libperilune_lua.so.${PROJECT_VERSION_MAJOR}")
target_link_libraries(perilune PRIVATE perilune_flags)
if(LUA_STATIC_LIBRARY)
  target_link_libraries(perilune PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${LUA_STATIC_LIBRARY}>)
else()
  target_link_libraries(perilune PRIVATE PkgConfig::LUA)
endif()
target_link_libraries(perilune PRIVATE m ${CMAKE_DL_LIBS}) # what Lua needs, so after it
target_link_options(perilune PRIVATE LINKER:--as-needed)
add_dependencies(perilune perilune_module)

# ---- the kernel of notebooks: a library that the program opens for `perilune kernel`, where its libraries are there ----
include(CheckCSourceCompiles)
pkg_check_modules(ZMQ IMPORTED_TARGET libzmq)
pkg_check_modules(NETTLE IMPORTED_TARGET nettle)
pkg_check_modules(CJSON IMPORTED_TARGET libcjson)
check_c_source_compiles("#define _GNU_SOURCE
  #include <stdio.h>
  int main(void) { stdout = fopencookie(NULL, \"w\", (cookie_io_functions_t){0}); return stdout == NULL; }"
  PERILUNE_HAS_OWN_STREAMS)
set(PERILUNE_KERNEL OFF)
if(ZMQ_FOUND AND NETTLE_FOUND AND CJSON_FOUND AND PERILUNE_HAS_OWN_STREAMS)
  set(PERILUNE_KERNEL ON)
  add_library(perilune_kernel MODULE ${kernel_sources})
  target_compile_definitions(perilune_kernel PRIVATE _GNU_SOURCE)
  target_include_directories(perilune_kernel PRIVATE ${LUA_INCLUDE_DIRS})
  target_link_libraries(perilune_kernel PRIVATE perilune_flags PkgConfig::ZMQ PkgConfig::NETTLE PkgConfig::CJSON
    Threads::Threads)
  target_link_options(perilune_kernel PRIVATE LINKER:-z,nodelete LINKER:--as-needed)
  add_dependencies(perilune perilune_kernel)
endif()
