/* State dictionaries: what state_dict() gives and load_state_dict() takes, for modules, optimisers
 * and schedules alike.
 *
 * A state dictionary is a table of names and tensors, copies of the values as they are; peri.save
 * writes it as it is. pairs() goes through it in the order in which its names were added. */
#ifndef PERI_BIND_STATE_DICT_H
#define PERI_BIND_STATE_DICT_H

#include "bind.h"

/* Pushes an empty one. */
void bind_new_state(lua_State *L, bind_state *S);
/* Adds a copy of the tensor, or a number as a 0-d float64 tensor, under the name on the stack's top,
 * which is popped. */
void bind_state_add(lua_State *L, bind_state *S, int state, peri_tensor *tensor);
void bind_state_add_number(lua_State *L, bind_state *S, int state, double value);
/* Checks that the value at `given` has the names, shapes and kinds of dtypes of the state dictionary
 * at `own`, which is freshly made, and copies its values into own's tensors. Raises naming all that is
 * missing, unexpected or different. */
void bind_state_match(lua_State *L, bind_state *S, const char *operation, int given, int own);
/* The tensor, or the number in it, under a name that is there. */
peri_tensor *bind_state_tensor(lua_State *L, bind_state *S, int state, const char *name);
double bind_state_number(lua_State *L, bind_state *S, int state, const char *name);

#endif
