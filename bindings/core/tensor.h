/* Tensors as userdata. */
#ifndef PERI_BIND_TENSOR_H
#define PERI_BIND_TENSOR_H

#include "bind.h"

/* A method's tensor. */
static inline peri_tensor *bind_self(lua_State *L, const char *operation) {
  return bind_check_tensor(L, bind_here(L), 1, operation, "x");
}
/* The same of what needs no elements. */
static inline peri_tensor *bind_source(lua_State *L, const char *operation) {
  return bind_check_source(L, bind_here(L), 1, operation, "x");
}
/* Pushes a tensor of the nested tables, number or boolean at index; dtype < 0: float32, or bool. Messages begin with
 * the operation. */
void bind_tensor_from_value(lua_State *L, bind_state *S, int index, int dtype, const char *operation);
/* Whether the first leaf of nested tables is a boolean: then all of a tensor's are. */
bool bind_holds_booleans(lua_State *L, int index);
/* Pushes the property `name` of x, or raises. */
int bind_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name);
/* Sets it to the value at stack index 3, for the handle at index 1. */
void bind_set_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name);
/* __index and __newindex */
int bind_tensor_index(lua_State *L);
int bind_tensor_newindex(lua_State *L);
/* What is in files of its own adds itself to the module and the methods, at those stack positions. */
void bind_open_values(lua_State *L, bind_state *S, int module, int method_table);
void bind_open_gradients(lua_State *L, bind_state *S, int module, int method_table);
void bind_open_print(lua_State *L, bind_state *S, int module, int method_table);
/* __tostring */
int bind_tensor_to_string(lua_State *L);

/* x:apply(f), x:map(b, f) and their forms in place (apply.c). */
int bind_tensor_apply(lua_State *L);
int bind_tensor_apply_(lua_State *L);
int bind_tensor_map(lua_State *L);
int bind_tensor_map_(lua_State *L);

#endif
