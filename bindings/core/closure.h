/* What a function written in Lua rests on: its local variables from outside, and the globals that it reads, with those
 * of the functions among them. */
#ifndef PERI_BIND_CLOSURE_H
#define PERI_BIND_CLOSURE_H

#include "bind.h"

/* Pushes a table for what the function at index rests on: from now on globals that it reads are noted. */
void bind_watch_closure(lua_State *L, bind_state *S, int index);
/* Ends that: functions read globals directly again. Puts why the call cannot be replayed into the recorder, or nothing.
 */
void bind_unwatch_closure(lua_State *L, bind_state *S, int watched);
/* Whether all variables in the table at index have the values they had. */
bool bind_closure_holds(lua_State *L, bind_state *S, int watched);
/* Whether the table has a tensor with the memory of x; in a variable, and not in a table that a variable holds. */
bool bind_closure_has(lua_State *L, bind_state *S, int watched, const peri_tensor *x);

#endif
