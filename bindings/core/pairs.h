/* Tables of names and values that scripts give. */
#ifndef PERI_BIND_PAIRS_H
#define PERI_BIND_PAIRS_H

#include "bindings/core/bind.h"

/* Counts the pairs of the table at index, which messages call `what` and whose keys must be strings. */
size_t bind_count_pairs(lua_State *L, int index, const char *operation, const char *what);
/* Pushes a table of our own with the n pairs of the table at index, which a finaliser may change, or the collector when
 * it is weak. Returns where it stands; what is read of it stays until the call returns. */
int bind_keep_pairs(lua_State *L, int index, const char *operation, size_t n);

#endif
