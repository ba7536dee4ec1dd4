/* Functions of scripts that a walk back calls: the gradients of functions written in Lua, and hooks on tensors. The
 * runtime holds a peri_hook; here each is a bind_hook, and its Lua value stands in a table of the registry under its
 * number. A node dies where the collector pleases, and then nothing may be called: its hook is put on a list, and the
 * next call of the module that comes by takes its value out of the table (bind_sweep_hooks). */
#ifndef PERI_BIND_HOOKS_H
#define PERI_BIND_HOOKS_H

#include "bind.h"

/* A walk back that a script has begun: what is called within is called in its Lua thread, protected, and an error goes
 * on when the runtime has returned. */
typedef struct bind_walk {
  lua_State *L;
  bool raised;    /* the error value is on the stack's top */
  bool outermost; /* not within a function that another calls */
  struct bind_walk *outer;
} bind_walk;

void bind_begin_walk(lua_State *L, bind_state *S, bind_walk *walk);
/* Raises what a function raised, or the message of the status. */
void bind_end_walk(lua_State *L, bind_state *S, bind_walk *walk, peri_status status);
/* BIND_TRY for calls that walk back. Where memory is short, and no function has raised, the walk begins anew, and calls
 * the functions again. */
#define BIND_WALK(L, S, call)                                                                                          \
  do {                                                                                                                 \
    bind_walk bind_walk_here;                                                                                          \
    bind_begin_walk(L, S, &bind_walk_here);                                                                            \
    peri_status bind_status = (call);                                                                                  \
    if (!bind_walk_here.raised && bind_retry(L, bind_status)) bind_status = (call);                                    \
    bind_end_walk(L, S, &bind_walk_here, bind_status);                                                                 \
  } while (0)

/* x:register_hook(f) */
int bind_register_hook(lua_State *L);
/* Pushes the object that takes a function out of the list at `list`, where it stands under the entry at `entry`. */
void bind_push_hook_handle(lua_State *L, bind_state *S, int list, int entry);
/* The class of those objects, for help; with the module's table on top. */
void bind_open_hooks(lua_State *L, bind_state *S);
/* pushes internal.autograd */
void bind_open_autograd(lua_State *L, bind_state *S);

#endif
