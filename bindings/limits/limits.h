/* States of peri_lua_new (perilune/lua.h): somebody else's scripts under limits of the host's.
 *
 *   state.c     the state, its allocator and its hook; calls and their statuses
 *   guard.c     the functions of Lua's libraries that catch errors, or loop for long where no hook comes
 *   strings.c   those of strings; the matcher of patterns
 *   sandbox.c   what a sandbox leaves out and hides
 *
 * Lua calls a hook by the thousand instructions: it counts them, and raises what has stopped the context. The error is
 * raised anew wherever a script could have caught it, and as long as the script goes on. No hook comes in a finaliser,
 * so that scripts have none; nor in C functions, so that those that may take long look by themselves. */
#ifndef PERI_BIND_LIMITS_H
#define PERI_BIND_LIMITS_H

#include "bindings/core/bind.h"

typedef struct limits {
  peri_context *context; /* a reference */
  size_t bytes;          /* that Lua has, of the context's budget */
  double deadline;       /* of a call, in seconds; 0: none */
  int64_t instructions;  /* of a call; 0: any number */
  int64_t left;
  int depth;      /* calls of peri_lua_call that are under way */
  unsigned grace; /* hooks that found something being put back, in a context that is stopped */
  bool sandbox;
  bool open; /* the state is there: with its last byte this goes too */
} limits;

/* NULL: the state was not made by peri_lua_new. */
limits *limits_of(lua_State *L);
/* Whether the call is to end, even where something is being put back. */
bool limits_stopped(const limits *l);
/* Raises what has stopped the context. For long loops in C, of which so many steps count as instructions. */
void limits_look(lua_State *L, int64_t steps);

/* The functions of the libraries take their places in the globals. */
void limits_guard(lua_State *L);
void limits_guard_strings(lua_State *L);
/* Leaves out of the globals what a sandbox has not. */
void limits_close_sandbox(lua_State *L);
/* Sets the functions of a list in the library on the stack's top; upvalue 1 of each is the function that it replaces.
 */
void limits_replace(lua_State *L, const luaL_Reg *list);

#endif
