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
 * module's table on the stack. Where the state has a context already, its limit of memory and its threads become those
 * of the options. Raises when they are wrong: no size, a field that is not known, a limit below what is in use. */
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

/* ---- scripts under limits ----
 * A state of one's own for somebody else's scripts: what they compute, in Lua and in tensors, ends when the host says
 * so. docs/embedding.md has a host, docs/security.md what is promised and what is not. */

/* Zero means the default of each field. Set size to sizeof(peri_lua_options). */
typedef struct peri_lua_options {
  size_t size;
  peri_options context; /* memory_limit is of tensors and all that Lua holds, together */
  double deadline;      /* seconds for each peri_lua_call; 0: none */
  int64_t instructions; /* of Lua for each peri_lua_call, counted by the thousand; 0: any number */
  int sandbox;          /* no io, debug, package, bytecode, programs; of os only its times; files only under root */
  const char *root; /* sandbox: the folder that scripts' paths begin in, which must be there; NULL: no files at all */
} peri_lua_options;

/* A state with Lua's libraries and the module, global `peri` and `require "perilune"`. NULL: no memory, wrong options,
 * no such root. It is closed by lua_close. In it scripts have no finalisers of their own (`__gc`), because Lua cannot
 * stop these, and of debug only traceback and getinfo. */
PERI_API lua_State *peri_lua_new(const peri_lua_options *options);
/* Pushes a text of Lua as a function, or a message; no bytecode. The name stands in messages. */
PERI_API peri_status peri_lua_load(lua_State *L, const char *name, const char *text, size_t size);
/* As lua_pcall of a function with its arguments on the stack, under the limits. When it is not PERI_OK, one message (a
 * string, with a traceback where there is one) stands in the place of the results, whatever the script caught: what has
 * stopped it is known from the status. PERI_ERR_SCRIPT is an error of the script's own. Deadline and instructions
 * begin anew with each call; one within another shares those of the outer. An interrupt stays until peri_clear_cancel.
 * In other states than those of peri_lua_new only the context's own limits hold. */
PERI_API peri_status peri_lua_call(lua_State *L, int arguments, int results);
/* Which status the error value at the index came from, of the last error that was raised or told; PERI_ERR_SCRIPT: of
 * none of ours. */
PERI_API peri_status peri_lua_status(lua_State *L, int index);

#ifdef __cplusplus
}
#endif
#endif
