/* Perilune in a Lua 5.4 state: open the module, push and check tensors, reach their data.
 *
 * Functions that take a lua_State raise Lua errors; call them where a host may raise. */
#ifndef PERILUNE_LUA_H
#define PERILUNE_LUA_H

#include <lua.h>
#include <perilune/model.h>
#include <perilune/perilune.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The entry of `require "perilune"`: pushes the module's table. Sets nothing global. */
PERI_API int luaopen_perilune(lua_State *L);
/* Opens the module with options (NULL: defaults), makes `require "perilune"` find it, and leaves the
 * module's table on the stack. Options count only the first time in a state. */
PERI_API void peri_lua_open(lua_State *L, const peri_options *options);
/* The state's context, opened with defaults when there is none yet. Borrowed: it lives as long as
 * the state, and longer only through tensors that C code has retained. */
PERI_API peri_context *peri_lua_context(lua_State *L);
/* Pushes a handle that holds a reference of its own. The tensor must be of the state's context. */
PERI_API void peri_lua_push_tensor(lua_State *L, peri_tensor *tensor);
/* The tensor at a stack index, borrowed from its handle; raises when it is none or was released. It lives while the
 * handle is on the stack, whatever finalisers do, unless the script itself releases it: retain it around calls into
 * Lua. */
PERI_API peri_tensor *peri_lua_check_tensor(lua_State *L, int index);
/* The same, or NULL. */
PERI_API peri_tensor *peri_lua_to_tensor(lua_State *L, int index);
/* What a script has trained, as a constant copy that any thread may score with and that outlives the state: whatever
 * peri.save_model takes, at a stack index. Raises what that would. The caller releases it. */
PERI_API peri_model *peri_lua_model(lua_State *L, int index);

#ifdef __cplusplus
}
#endif
#endif
