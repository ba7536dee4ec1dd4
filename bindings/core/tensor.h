/* Tensors as userdata. */
#ifndef PERI_BIND_TENSOR_H
#define PERI_BIND_TENSOR_H

#include "bind.h"

/* Pushes a tensor of the nested tables, number or boolean at index; dtype < 0: float32, or bool. */
void bind_tensor_from_value(lua_State *L, bind_state *S, int index, int dtype);
/* Pushes the property `name` of x, or raises. */
int bind_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name);
/* Sets it to the value at stack index 3, for the handle at index 1. */
void bind_set_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name);
/* __index and __newindex */
int bind_tensor_index(lua_State *L);
int bind_tensor_newindex(lua_State *L);

#endif
