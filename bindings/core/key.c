/* Reading keys: values first, then which dimensions each entry takes. */
#include "key.h"
#include "tensor.h"

#include "ops/index.h"

#include <string.h>

/* ---- messages ---- */

/* Pushes " (entry 2 of the key)", or an empty text where the entry is the key. */
static const char *where(lua_State *L, const bind_entry *e) {
  if (e->place == 0) return lua_pushliteral(L, "");
  return lua_pushfstring(L, " (entry %d of the key)", e->place);
}

static int refuse_position(lua_State *L, const bind_entry *e, int64_t position, int64_t size, const char *detail) {
  const char *entry = e->place == 0 ? "" : lua_pushfstring(L, "; entry %d of the key", e->place);
  return bind_error(L, "index", "position %I is out of range: dimension %d has %I (%s%s)", (lua_Integer)position,
                    e->dim + 1, (lua_Integer)size, detail, entry);
}

static int refuse_entry(lua_State *L, const bind_entry *e, int index) {
  if (e->place == 0) {
    return bind_error(L, "index", "a key must be a number, a table or a tensor, got %s%s", bind_describe(L, index),
                      lua_isboolean(L, index) ? " (== compares identity: x:eq(1) gives a mask)" : "");
  }
  return bind_error(L, "index",
                    "positions must be whole numbers, got %s (entry %d of the key: a number, a range, a tensor, "
                    "peri.newaxis or \"...\")",
                    bind_describe(L, index), e->place);
}

/* ---- entries ---- */

static int64_t read_whole(lua_State *L, const bind_entry *e, int index, const char *name) {
  int whole = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
  if (!whole) {
    const char *described = bind_describe(L, index);
    const char *hint = lua_isboolean(L, index) ? " (a mask stands in a table of its own: {{true, false}})" : "";
    bind_error(L, "index", "%s, got %s%s%s", name, described, hint, where(L, e));
  }
  return value;
}

static int64_t read_position(lua_State *L, const bind_entry *e, int index) {
  int64_t value = read_whole(L, e, index, "positions must be whole numbers");
  if (value == 0) bind_error(L, "index", "position 0 (counting starts at 1, or at -1 from the end)%s", where(L, e));
  return value;
}

/* {from, to, step}, as written. */
static void read_range(lua_State *L, int table, bind_entry *e) {
  static const char expected[] = "(expected {}, {from, to} or {from, to, step}; a list of positions stands in a table "
                                 "of its own: {{1, 3, 5}})";
  lua_Unsigned n = lua_rawlen(L, table);
  e->kind = n == 0 ? ENTRY_ALL : ENTRY_RANGE;
  if (n == 0) return;
  if (n > 3 || n == 1) bind_error(L, "index", "a range has %I numbers %s%s", (lua_Integer)n, expected, where(L, e));
  for (int i = 1; i <= 3; i++) lua_rawgeti(L, table, i);
  int top = lua_gettop(L);
  e->from = read_position(L, e, top - 2);
  e->to = read_whole(L, e, top - 1, "positions must be whole numbers");
  e->by = n == 3 ? read_whole(L, e, top, "step must be a whole number") : 1;
  if (e->by == 0) bind_error(L, "index", "step is 0 (expected 1 or more, or -1 or less to go down)%s", where(L, e));
  lua_pop(L, 3);
}

/* A table of a table: positions, or a mask, as a new tensor on the stack. */
static peri_tensor *read_list(lua_State *L, bind_state *S, int table, const bind_entry *e) {
  if (lua_rawlen(L, table) != 1) {
    bind_error(L, "index", "a list of positions is one table in a table, {{1, 3, 5}}, got a table of %I%s",
               (lua_Integer)lua_rawlen(L, table), where(L, e));
  }
  int top = lua_gettop(L);
  lua_rawgeti(L, table, 1);
  peri_dtype dtype = bind_holds_booleans(L, top + 1) ? PERI_BOOL : PERI_INT64;
  bind_tensor_from_value(L, S, top + 1, (int)dtype, "index");
  lua_replace(L, top + 1);
  return bind_to_tensor(L, S, top + 1);
}

static void set_tensor(lua_State *L, bind_entry *e, peri_tensor *tensor) {
  peri_dtype dtype = tensor->layout.dtype;
  e->tensor = tensor;
  e->kind = dtype == PERI_BOOL ? ENTRY_MASK : ENTRY_INDEX;
  e->dims = dtype == PERI_BOOL ? tensor->layout.ndim : 1;
  if (dtype != PERI_INT64 && dtype != PERI_BOOL) {
    bind_error(L, "index", "an index tensor is %s (expected int64 for positions, bool for a mask%s)%s",
               peri_dtype_name(dtype), dtype == PERI_UINT8 ? "; mask:to 'bool' is one" : "", where(L, e));
  }
  if (dtype == PERI_BOOL && e->dims == 0) bind_error(L, "index", "the mask has no dimensions%s", where(L, e));
}

/* Reads the entry on top of the stack, and leaves it there only where it is a tensor. *ellipsis: where "..." stands. */
static void read_entry(lua_State *L, bind_state *S, bind_key *k, int place, int *ellipsis) {
  int index = lua_gettop(L), type = lua_type(L, index);
  bind_entry *e = &k->entry[k->n];
  e->place = place;
  e->dims = 1;
  e->turned = false;
  k->n++;
  if (type == LUA_TNUMBER) {
    e->kind = ENTRY_AT;
    e->from = read_position(L, e, index);
  } else if (type == LUA_TTABLE) {
    int first = lua_rawgeti(L, index, 1);
    lua_pop(L, 1);
    if (first == LUA_TTABLE) {
      set_tensor(L, e, read_list(L, S, index, e));
      lua_replace(L, index);
    } else {
      read_range(L, index, e);
    }
  } else if (bind_to_tensor(L, S, index) != NULL) {
    set_tensor(L, e, bind_to_tensor(L, S, index));
  } else if (type == LUA_TSTRING && strcmp(lua_tostring(L, index), BIND_NEWAXIS) == 0) {
    e->kind = ENTRY_NEW;
    e->dims = 0;
  } else if (type == LUA_TSTRING && strcmp(lua_tostring(L, index), BIND_ELLIPSIS) == 0) {
    if (*ellipsis >= 0) bind_error(L, "index", "\"...\" stands twice in the key");
    *ellipsis = --k->n;
  } else {
    refuse_entry(L, e, index);
  }
  if (place > 0 && !lua_isuserdata(L, index)) lua_pop(L, 1);
}

/* ---- dimensions ---- */

/* A range that goes down, as the one that goes up through the same positions. */
static void turn_range(lua_State *L, const peri_tensor *x, bind_entry *e) {
  int64_t size = x->layout.shape[e->dim];
  int64_t from = e->from > 0 ? e->from : e->from + size + 1, to = e->to >= 0 ? e->to : e->to + size + 1;
  if (from < 1 || from > size) refuse_position(L, e, e->from, size, "a range down");
  if (to < 1 || to > from + 1) {
    bind_error(L, "index", "range %I to %I by %I (expected to from 1 up to from, or from + 1 where it is empty)%s",
               (lua_Integer)e->from, (lua_Integer)e->to, (lua_Integer)e->by, where(L, e));
  }
  int64_t by = e->by == INT64_MIN ? INT64_MAX : -e->by, rest = to > from ? 0 : (from - to) % by;
  e->turned = true;
  e->by = by;
  e->from = to > from ? from - 1 : to + rest - 1;
  e->to = to <= from ? from - 1 : from > 1 ? from - 2 : -1 - size; /* an empty one ends before it begins */
}

static void place_range(lua_State *L, const peri_tensor *x, bind_entry *e) {
  int64_t size = x->layout.shape[e->dim], from = e->from;
  if (e->by < 0) {
    turn_range(L, x, e);
    return;
  }
  if (e->to == 0 && from != 1 && from != -size)
    bind_error(L, "index", "range %I to 0 (an empty range has to = from - 1)%s", (lua_Integer)from, where(L, e));
  int64_t first = from > 0 ? from : from + size + 1, last = e->to > 0 ? e->to : e->to + size + 1;
  if (e->to != 0 && first >= 1 && first <= size && last >= 1 && last < first - 1)
    bind_error(L, "index", "range %I to %I ends before it begins (a range down has a step below 0: {%I, %I, -1})%s",
               (lua_Integer)from, (lua_Integer)e->to, (lua_Integer)from, (lua_Integer)e->to, where(L, e));
  e->from = from > 0 ? from - 1 : from;
  e->to = e->to > 0 ? e->to - 1 : e->to == 0 ? -1 - size : e->to; /* {1, 0} ends before the first */
}

/* A position: scripts that would append hear that tensors do not grow. */
static void place_position(lua_State *L, const peri_tensor *x, bind_entry *e) {
  int64_t size = x->layout.shape[e->dim], position = e->from;
  if (position > size || position < -size)
    refuse_position(L, e, position, size, "tensors do not grow; peri.cat joins them");
  e->from = position > 0 ? position - 1 : position;
}

static void place_mask(lua_State *L, const peri_tensor *x, const bind_entry *e) {
  const peri_layout *mask = &e->tensor->layout;
  char own[PERI_SHAPE_TEXT], wanted[PERI_SHAPE_TEXT];
  for (int d = 0; d < mask->ndim; d++) {
    if (mask->shape[d] == x->layout.shape[e->dim + d]) continue;
    bind_error(L, "index", "the mask is %s but x is %s there%s", peri_shape_text(mask->ndim, mask->shape, own),
               peri_shape_text(mask->ndim, x->layout.shape + e->dim, wanted), where(L, e));
  }
}

static void place_entries(lua_State *L, const peri_tensor *x, bind_key *k, int ellipsis) {
  int taken = 0, dim = 0;
  char text[PERI_SHAPE_TEXT];
  for (int i = 0; i < k->n; i++) taken += k->entry[i].dims;
  if (taken > 0 && x->layout.ndim == 0) bind_error(L, "index", "the tensor has no dimensions");
  if (taken > x->layout.ndim) {
    bind_error(L, "index", "%d positions for a tensor of %s", taken,
               peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
  for (int i = 0; i < k->n; i++) {
    bind_entry *e = &k->entry[i];
    if (i == ellipsis) dim += x->layout.ndim - taken;
    e->dim = dim;
    dim += e->dims;
    if (e->kind == ENTRY_AT) place_position(L, x, e);
    if (e->kind == ENTRY_RANGE) place_range(L, x, e);
    if (e->kind == ENTRY_MASK) place_mask(L, x, e);
    k->choosers += e->kind == ENTRY_INDEX || e->kind == ENTRY_MASK;
  }
}

void bind_read_key(lua_State *L, bind_state *S, const peri_tensor *x, int index, bind_key *k) {
  int ellipsis = -1;
  k->n = k->choosers = 0;
  luaL_checkstack(L, BIND_MOST_ENTRIES + 8, "index");
  if (lua_type(L, index) != LUA_TTABLE) {
    lua_pushvalue(L, index);
    read_entry(L, S, k, 0, &ellipsis);
  } else {
    lua_Unsigned n = lua_rawlen(L, index);
    if (n > BIND_MOST_ENTRIES)
      bind_error(L, "index", "a key of %I entries (expected at most %d)", (lua_Integer)n, BIND_MOST_ENTRIES);
    for (lua_Unsigned i = 1; i <= n; i++) {
      lua_rawgeti(L, index, (lua_Integer)i);
      read_entry(L, S, k, (int)i, &ellipsis);
    }
  }
  place_entries(L, x, k, ellipsis);
}

void bind_check_positions(lua_State *L, const peri_tensor *x, const bind_key *k) {
  int number = 0;
  for (int i = 0; i < k->n; i++) {
    const bind_entry *e = &k->entry[i];
    int64_t at, value, size;
    if (e->kind != ENTRY_INDEX) continue;
    number++;
    size = x->layout.shape[e->dim];
    if (peri_index_outside_ends(e->tensor, size, &at, &value) != PERI_OK || at < 0) continue;
    const char *which = lua_pushfstring(L, "number %I of the index tensor", (lua_Integer)at + 1);
    refuse_position(L, e, value, size, which);
  }
}
