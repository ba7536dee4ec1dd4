/* The Lua files of bindings/lua, embedded by the build as they are: no files are needed beside the module,
 * which has all but program/, and the program, which has program/ alone.
 * bindings/lua/nn/module.lua has the name "nn.module"; texts end with a zero byte that size leaves out.
 * The table is generated (cmake/embed_lua.cmake) and ends with a NULL name. */
#ifndef PERI_LUA_SOURCES_H
#define PERI_LUA_SOURCES_H

#include <stddef.h>

struct peri_lua_source {
  const char *name;
  const char *text;
  size_t size;
};

extern const struct peri_lua_source peri_lua_sources[];
/* Files of runtime/, "kernels/mathfun.h", of which models in C have functions; the module's alone. */
extern const struct peri_lua_source peri_runtime_sources[];

#endif
