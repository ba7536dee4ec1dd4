/* The operation table as Lua functions. */
#ifndef PERI_BIND_ROWS_H
#define PERI_BIND_ROWS_H

#include "bind.h"

/* Puts every row into the module's table, the methods and the metatable (stack positions). */
void bind_rows(lua_State *L, bind_state *S, int module, int methods, int meta);
/* How many outputs scripts see. */
int bind_shown_outputs(const peri_op *op);
/* The first element as a Lua value. */
void bind_push_element(lua_State *L, const peri_view *x);
/* The stream of the generator at index, or NULL when there is none. */
peri_stream *bind_to_generator(lua_State *L, const bind_state *S, int index);
/* Pushes a generator that stands there. */
void bind_push_generator(lua_State *L, bind_state *S, peri_stream stream);
void bind_open_generator(lua_State *L, bind_state *S, int module);
/* peri.ops() */
int bind_list_ops(lua_State *L);

#endif
