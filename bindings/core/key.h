/* Keys: what stands between the brackets of x[key].
 *
 * A key is one entry, or a table of entries, which are for one dimension of x after the other:
 *
 *   3, -1                a position: the dimension is gone
 *   {}, {from, to, step} all, or a range with both its ends; with a step below 0 from the larger end down, as a copy
 *   int64 tensor         positions in any order and number, of any dimensions; {{1, 3, 5}} is the same in Lua
 *   bool tensor          a mask of as many dimensions as it has; {{true, false}} is the same in Lua
 *   peri.newaxis         a new dimension of size 1; takes none of x
 *   "..."                as many {} as are missing; they are at the end without it
 *
 * Index tensors, and what masks name, are broadcast together (ops/take.c). The views of other entries are made first.
 */
#ifndef PERI_BIND_KEY_H
#define PERI_BIND_KEY_H

#include "bind.h"

#define BIND_NEWAXIS      "newaxis"
#define BIND_ELLIPSIS     "..."
#define BIND_MOST_ENTRIES (2 * PERI_MAX_DIMS + 1)

typedef enum bind_entry_kind { ENTRY_AT, ENTRY_RANGE, ENTRY_ALL, ENTRY_NEW, ENTRY_INDEX, ENTRY_MASK } bind_entry_kind;

typedef struct bind_entry {
  bind_entry_kind kind;
  int place;            /* in the key, from 1; 0: it is the key */
  int dims;             /* how many of x it takes, */
  int dim;              /* from this on */
  int64_t from, to, by; /* as the rows select and slice take them, */
  bool turned;          /* and what slice gives is to be read from its end */
  peri_tensor *tensor;
} bind_entry;

typedef struct bind_key {
  int n, choosers; /* entries; those that are tensors */
  bind_entry entry[BIND_MOST_ENTRIES];
} bind_key;

/* Reads the key at index for x, and checks all but the values of index tensors. Tensors stay on the stack. */
void bind_read_key(lua_State *L, bind_state *S, const peri_tensor *x, int index, bind_key *key);
/* Raises which position of the key's index tensors lies outside, if one does. */
void bind_check_positions(lua_State *L, const peri_tensor *x, const bind_key *key);

#endif
