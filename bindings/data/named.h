/* Tables of names and tensors, which some formats hold (safetensors, NPZ). */
#ifndef PERI_BIND_NAMED_H
#define PERI_BIND_NAMED_H

#include "bindings/core/bind.h"
#include "data/formats/formats.h"

/* Pushes a list to be filled, which is released with its userdata. */
peri_named_tensors *data_push_list(lua_State *L, bind_state *S);
/* Pushes the table of the list's names and tensors. */
void data_push_tensors(lua_State *L, bind_state *S, const peri_named_tensors *list);

typedef struct data_named {
  size_t n;
  const char **names;
  peri_tensor **tensors;
} data_named;

/* The table at index, which messages call tensors. What is read of it stays on the stack until the call returns. */
data_named data_check_tensors(lua_State *L, bind_state *S, int index, const char *operation);

#endif
