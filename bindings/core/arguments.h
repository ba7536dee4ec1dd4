/* The arguments of a row of the operation table, as scripts give them. Scripts count from 1 and the runtime from 0:
 * dimensions and positions are translated there, and only there. */
#ifndef PERI_BINDINGS_ARGUMENTS_H
#define PERI_BINDINGS_ARGUMENTS_H

#include "bindings/core/bind.h"

typedef struct bind_row_reader {
  lua_State *L;
  bind_state *S;
  peri_call *call;
  const char *name; /* with the underscore of an in-place form */
  int *first;       /* receives where the first parameter stands */
} bind_row_reader;

/* Reads them into the call, from the stack's places 1 to top; raises what is wrong with them. */
void bind_read_arguments(const bind_row_reader *r, int top);

#endif
