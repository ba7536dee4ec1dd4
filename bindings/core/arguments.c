/* The arguments of a row, from the stack: by place, then options of the trailing table. */
#include "arguments.h"
#include "names.h"
#include "rows.h"
#include "tensor.h"

#include "ops/rows.h"

#include <stdio.h>
#include <string.h>

#define MOST_TENSORS 1000000 /* in a list */

typedef bind_row_reader reader;

/* ---- single values ---- */

static int bad_argument(const reader *r, int param, int index, const char *expected) {
  return bind_error(r->L, r->name, "%s must be %s, got %s", r->call->op->params[param].name, expected,
                    bind_describe(r->L, index));
}

static peri_tensor *read_tensor(const reader *r, int param, int index) {
  const peri_op *op = r->call->op;
  return (op->flags & PERI_OP_SOURCES ? bind_check_source : bind_check_tensor)(r->L, r->S, index, r->name,
                                                                               op->params[param].name);
}

static int64_t read_integer(const reader *r, int param, int index, const char *expected) {
  int whole = 0;
  lua_Integer value = lua_type(r->L, index) == LUA_TNUMBER ? lua_tointegerx(r->L, index, &whole) : 0;
  if (!whole) bad_argument(r, param, index, expected);
  return value;
}

/* A dimension or position: from 1, or negative from the end. */
static int64_t read_position(const reader *r, int param, int index) {
  int64_t value = read_integer(r, param, index, "a whole number");
  if (value == 0)
    bind_error(r->L, r->name, "%s is 0 (counting starts at 1, or at -1 from the end)", r->call->op->params[param].name);
  return value > 0 ? value - 1 : value;
}

static void read_number(const reader *r, peri_arg *arg, int param, int index) {
  const peri_param *row = &r->call->op->params[param];
  if (lua_type(r->L, index) == LUA_TSTRING && row->choices != NULL) {
    arg->word = bind_check_choice(r->L, index, r->name, row->name, row->choices) + 1;
  } else if (lua_type(r->L, index) == LUA_TNUMBER) {
    arg->number = lua_tonumber(r->L, index);
    arg->is_integer = lua_isinteger(r->L, index);
    arg->integer = arg->is_integer ? lua_tointeger(r->L, index) : 0;
  } else if (lua_isboolean(r->L, index)) {
    arg->is_integer = arg->is_bool = true;
    arg->integer = lua_toboolean(r->L, index);
    arg->number = (double)arg->integer;
  } else {
    bad_argument(r, param, index,
                 row->kind == PERI_KIND_OPERAND ? "a tensor or a number"
                 : row->choices != NULL         ? lua_pushfstring(r->L, "a number or one of %s", row->choices)
                                                : "a number");
  }
}

static void read_choice(const reader *r, peri_arg *arg, int param, int index) {
  const peri_param *row = &r->call->op->params[param];
  arg->integer = bind_check_choice(r->L, index, r->name, row->name, row->choices);
}

/* ---- lists ---- */

static void too_many_sizes(const reader *r, int param, lua_Unsigned count) {
  if (count > PERI_MAX_DIMS) {
    bind_error(r->L, r->name, "%s has %I entries (expected at most %d)", r->call->op->params[param].name,
               (lua_Integer)count, PERI_MAX_DIMS);
  }
}

static int64_t read_size(const reader *r, int param, int index) {
  if (r->call->op->params[param].kind != PERI_KIND_SHAPE) return read_position(r, param, index);
  return read_integer(r, param, index, "whole numbers");
}

/* Sizes or dimensions from a table at index. */
static void read_size_table(const reader *r, peri_arg *arg, int param, int index) {
  lua_Unsigned count = lua_rawlen(r->L, index);
  too_many_sizes(r, param, count);
  arg->count = (int)count;
  for (int i = 0; i < arg->count; i++) {
    lua_rawgeti(r->L, index, i + 1);
    arg->sizes[i] = read_size(r, param, lua_gettop(r->L));
    lua_pop(r->L, 1);
  }
}

/* Sizes or dimensions from consecutive numbers; returns how many. */
static int read_size_run(const reader *r, peri_arg *arg, int param, int index, int top) {
  int count = 0;
  while (index + count <= top && lua_type(r->L, index + count) == LUA_TNUMBER) {
    too_many_sizes(r, param, (lua_Unsigned)count + 1);
    arg->sizes[count] = read_size(r, param, index + count);
    count++;
  }
  if (count == 0) bad_argument(r, param, index, "whole numbers or a table of them");
  arg->count = count;
  return count;
}

/* Sizes or dimensions from a table, or one alone. */
static void read_listed_sizes(const reader *r, peri_arg *arg, int param, int index) {
  if (lua_type(r->L, index) == LUA_TTABLE) {
    read_size_table(r, arg, param, index);
    return;
  }
  if (lua_type(r->L, index) != LUA_TNUMBER) bad_argument(r, param, index, "a whole number or whole numbers in a table");
  arg->sizes[0] = read_size(r, param, index);
  arg->count = 1;
}

/* Whole numbers from a table, which may be many: then their room becomes a userdata on the stack's end; or one alone.
 */
static void read_integers(const reader *r, peri_arg *arg, int param, int index) {
  const char *expected = "a whole number or whole numbers in a table";
  arg->is_integer = lua_type(r->L, index) != LUA_TTABLE;
  arg->count = 1;
  if (arg->is_integer) {
    arg->sizes[0] = read_integer(r, param, index, expected);
    return;
  }
  lua_Unsigned count = lua_rawlen(r->L, index);
  if (count > MOST_TENSORS)
    bind_error(r->L, r->name, "%s has %I entries (expected at most %d)", r->call->op->params[param].name,
               (lua_Integer)count, MOST_TENSORS);
  arg->count = (int)count;
  if (count > PERI_MAX_DIMS) arg->sizes = lua_newuserdatauv(r->L, count * sizeof *arg->sizes, 0);
  for (int i = 0; i < arg->count; i++) {
    lua_rawgeti(r->L, index, i + 1);
    arg->sizes[i] = read_integer(r, param, lua_gettop(r->L), expected);
    lua_pop(r->L, 1);
  }
}

/* As many sizes as the row says, from a table or from one number that stands for all. */
static void read_counted_sizes(const reader *r, peri_arg *arg, int param, int index) {
  const peri_param *row = &r->call->op->params[param];
  if (lua_type(r->L, index) != LUA_TTABLE) {
    int64_t value =
        read_integer(r, param, index, row->count == 1 ? "a whole number" : "whole numbers in a table, or one");
    arg->count = row->count;
    for (int i = 0; i < row->count; i++) arg->sizes[i] = value;
    return;
  }
  read_size_table(r, arg, param, index);
  if (arg->count != row->count)
    bind_error(r->L, r->name, "%s has %d numbers (expected %d)", row->name, arg->count, row->count);
}

/* A number, or a table of two lists of dimensions. */
static void read_axes(const reader *r, peri_arg *arg, int param, int index) {
  const char *name = r->call->op->params[param].name;
  peri_arg second = {.sizes = arg->sizes + PERI_MAX_DIMS};
  arg->count = -1;
  if (lua_type(r->L, index) != LUA_TTABLE) {
    arg->integer = read_integer(r, param, index, "a whole number or two lists of dimensions");
    return;
  }
  if (lua_rawlen(r->L, index) != 2)
    bind_error(r->L, r->name, "%s has %I entries (expected two lists of dimensions)", name,
               (lua_Integer)lua_rawlen(r->L, index));
  for (int i = 0; i < 2; i++) {
    if (lua_rawgeti(r->L, index, i + 1) != LUA_TTABLE) bad_argument(r, param, -1, "two lists of dimensions");
    read_size_table(r, i == 0 ? arg : &second, param, lua_gettop(r->L));
    lua_pop(r->L, 1);
  }
  if (arg->count != second.count)
    bind_error(r->L, r->name, "%s has %d dimensions of a and %d of b", name, arg->count, second.count);
}

static void keep_number(peri_arg *arg, double number) { memcpy(&arg->sizes[arg->count++], &number, sizeof number); }

/* As many numbers as the row says, as their bits; where it does not say, at least one, which may stand without a table.
 */
static void read_numbers(const reader *r, peri_arg *arg, int param, int index) {
  const peri_param *row = &r->call->op->params[param];
  const char *expected = row->count > 0 ? "a table of numbers" : "a number or a table of numbers";
  arg->count = 0;
  if (row->count == 0 && lua_type(r->L, index) == LUA_TNUMBER) {
    keep_number(arg, lua_tonumber(r->L, index));
    return;
  }
  if (lua_type(r->L, index) != LUA_TTABLE) bad_argument(r, param, index, expected);
  lua_Unsigned count = lua_rawlen(r->L, index);
  if (row->count > 0 && count != (lua_Unsigned)row->count)
    bind_error(r->L, r->name, "%s has %I numbers (expected %d)", row->name, (lua_Integer)count, row->count);
  if (count == 0) bad_argument(r, param, index, expected);
  too_many_sizes(r, param, count);
  for (lua_Unsigned i = 1; i <= count; i++) {
    if (lua_rawgeti(r->L, index, (lua_Integer)i) != LUA_TNUMBER) bad_argument(r, param, lua_gettop(r->L), expected);
    keep_number(arg, lua_tonumber(r->L, -1));
    lua_pop(r->L, 1);
  }
}

/* A list of tensors; the array of pointers becomes a userdata on the stack's end. The handles stand in a table of
 * our own there, since the caller's may be weak, or be emptied by a finaliser, before the call is over. */
static int read_tensors(const reader *r, peri_arg *arg, int param, int index, int top) {
  bool spread = r->call->op->params[param].spread && lua_type(r->L, index) == LUA_TUSERDATA;
  if (!spread && lua_type(r->L, index) != LUA_TTABLE) bad_argument(r, param, index, "a table of tensors");
  lua_Unsigned count = spread ? 1 : lua_rawlen(r->L, index);
  while (spread && index + (int)count <= top && lua_type(r->L, index + (int)count) == LUA_TUSERDATA) count++;
  if (count == 0 || count > MOST_TENSORS)
    bind_error(r->L, r->name, "%s has %I entries (expected 1 to %d tensors)", r->call->op->params[param].name,
               (lua_Integer)count, MOST_TENSORS);
  peri_tensor **list = lua_newuserdatauv(r->L, count * sizeof *list, 0);
  lua_createtable(r->L, (int)count, 0);
  for (lua_Unsigned i = 0; i < count; i++) {
    char name[48];
    if (spread) {
      lua_pushvalue(r->L, index + (int)i);
    } else {
      lua_rawgeti(r->L, index, (lua_Integer)i + 1);
    }
    if ((list[i] = bind_to_tensor(r->L, r->S, -1)) == NULL) {
      snprintf(name, sizeof name, "%s[%d]", r->call->op->params[param].name, (int)i + 1);
      bind_check_tensor(r->L, r->S, -1, r->name, name);
    }
    lua_rawseti(r->L, -2, (lua_Integer)i + 1);
  }
  arg->tensors = list;
  arg->count = (int)count;
  return spread ? (int)count : 1;
}

/* Appends the coordinates of what is true in a mask to a list of tensors, whose handles are in the table on top. */
static int add_coordinates(const reader *r, peri_tensor *mask, peri_tensor **list, int n) {
  lua_State *L = r->L;
  int table = lua_gettop(L), ndim = mask->layout.ndim;
  bind_apply(L, r->S, ndim == 1 ? &peri_op_nonzero : &peri_op_coordinates, 1, &mask);
  for (int d = 0; d < ndim; d++) {
    peri_call call;
    if (ndim == 1) {
      lua_pushvalue(L, table + 1);
    } else {
      peri_call_open(&call, r->S->context, &peri_op_select);
      call.args[0].given = true;
      call.args[0].tensor = bind_to_tensor(L, r->S, table + 1);
      call.args[2].integer = d;
      bind_run(L, r->S, &call);
    }
    list[n + d] = bind_to_tensor(L, r->S, -1);
    lua_rawseti(L, table, n + d + 1);
  }
  lua_settop(L, table);
  return ndim;
}

/* Where mask number k begins to choose from dimension dim on of x. */
static void check_mask(const reader *r, int k, const peri_layout *mask, int dim) {
  const peri_layout *x = &r->call->args[0].tensor->layout;
  char own[PERI_SHAPE_TEXT], wanted[PERI_SHAPE_TEXT];
  bool fits = mask->ndim > 0 && dim + mask->ndim <= x->ndim;
  for (int d = 0; d < mask->ndim && fits; d++) fits = mask->shape[d] == x->shape[dim + d];
  if (fits) return;
  int left = dim < x->ndim ? x->ndim - dim : 0;
  bind_error(r->L, r->name, "index tensor %d is a mask of %s but x has %s there", k + 1,
             peri_shape_text(mask->ndim, mask->shape, own), peri_shape_text(left, x->shape + x->ndim - left, wanted));
}

/* Masks among index tensors become index tensors. */
static void expand_masks(const reader *r, int param) {
  peri_arg *arg = &r->call->args[param];
  int n = 0, masks = 0;
  for (int k = 0; k < arg->count; k++) {
    const peri_layout *layout = &arg->tensors[k]->layout;
    bool mask = layout->dtype == PERI_BOOL;
    if (mask) check_mask(r, k, layout, n);
    n += mask ? layout->ndim : 1;
    masks += mask;
  }
  if (masks == 0) return;
  for (int i = param + 1; i < PERI_MAX_PARAMS && r->call->op->params[i].name != NULL; i++) {
    if (r->call->op->params[i].kind == PERI_KIND_DIMS && r->call->args[i].given)
      bind_error(r->L, r->name, "a mask chooses along the first dimensions, and not along dims");
  }
  luaL_checkstack(r->L, 8, r->name);
  peri_tensor **list = lua_newuserdatauv(r->L, (size_t)n * sizeof *list, 0);
  lua_createtable(r->L, n, 0);
  n = 0;
  for (int k = 0; k < arg->count; k++) {
    if (arg->tensors[k]->layout.dtype == PERI_BOOL) {
      n += add_coordinates(r, arg->tensors[k], list, n);
    } else {
      list[n++] = arg->tensors[k]; /* whose handle is where it was */
    }
  }
  arg->tensors = list;
  arg->count = n;
}

/* Whole numbers in a table, or in tables of tables, become an int64 tensor in its place. */
static void read_index_table(const reader *r, int param, int index) {
  if (bind_holds_booleans(r->L, index)) bad_argument(r, param, index, "whole numbers, or an int64 tensor");
  bind_tensor_from_value(r->L, r->S, index, PERI_INT64, r->name);
  lua_replace(r->L, index);
}

/* ---- arguments ---- */

/* Reads one parameter at index; returns how many stack places it took. */
static int read_argument(const reader *r, int param, int index, int top) {
  peri_arg *arg = &r->call->args[param];
  int type = lua_type(r->L, index);
  arg->given = true;
  if (param == 0) *r->first = index;
  switch (r->call->op->params[param].kind) {
  case PERI_KIND_INDICES:
    if (type == LUA_TTABLE) read_index_table(r, param, index);
    arg->tensor = read_tensor(r, param, index);
    break;
  case PERI_KIND_TENSOR:
    arg->tensor = read_tensor(r, param, index);
    break;
  case PERI_KIND_OPERAND:
    if (type == LUA_TUSERDATA) {
      arg->tensor = read_tensor(r, param, index);
    } else {
      read_number(r, arg, param, index);
    }
    break;
  case PERI_KIND_TENSORS:
    return read_tensors(r, arg, param, index, top);
  case PERI_KIND_NUMBER:
    read_number(r, arg, param, index);
    break;
  case PERI_KIND_INTEGER:
    arg->integer = read_integer(r, param, index, "a whole number");
    break;
  case PERI_KIND_DIM:
  case PERI_KIND_INDEX:
    arg->integer = read_position(r, param, index);
    break;
  case PERI_KIND_BOOL:
    if (type != LUA_TBOOLEAN) bad_argument(r, param, index, "true or false");
    arg->integer = lua_toboolean(r->L, index);
    break;
  case PERI_KIND_DTYPE:
    arg->integer = bind_check_dtype(r->L, index, r->name);
    break;
  case PERI_KIND_CHOICE:
    read_choice(r, arg, param, index);
    break;
  case PERI_KIND_TEXT:
    if (type != LUA_TSTRING) bad_argument(r, param, index, "a string");
    arg->text = lua_tostring(r->L, index);
    if (strlen(arg->text) != lua_rawlen(r->L, index)) bad_argument(r, param, index, "a string without zeros");
    break;
  case PERI_KIND_AXES:
    read_axes(r, arg, param, index);
    break;
  case PERI_KIND_NUMBERS:
    read_numbers(r, arg, param, index);
    break;
  case PERI_KIND_SHAPE:
  case PERI_KIND_DIMS:
    if (type == LUA_TSTRING && r->call->op->params[param].choices != NULL) {
      read_choice(r, arg, param, index);
      arg->integer++;
    } else if (r->call->op->params[param].count > 0) {
      read_counted_sizes(r, arg, param, index);
    } else if (r->call->op->params[param].count == PERI_LISTED) {
      read_listed_sizes(r, arg, param, index);
    } else if (type == LUA_TTABLE) {
      read_size_table(r, arg, param, index);
    } else {
      return read_size_run(r, arg, param, index, top);
    }
    break;
  case PERI_KIND_INTEGERS:
    read_integers(r, arg, param, index);
    break;
  }
  return 1;
}

static bool is_list(const reader *r, int param) {
  if (param == PERI_MAX_PARAMS || r->call->op->params[param].name == NULL) return false;
  peri_kind kind = r->call->op->params[param].kind;
  if (r->call->op->params[param].count > 0) return false; /* never empty */
  return kind == PERI_KIND_SHAPE || kind == PERI_KIND_DIMS || kind == PERI_KIND_TENSORS || kind == PERI_KIND_INTEGERS ||
         kind == PERI_KIND_INDICES;
}

/* A table with names and no list part holds options; an empty one too, unless a list may stand there. */
static bool is_options(const reader *r, int param, int index) {
  if (lua_type(r->L, index) != LUA_TTABLE || lua_rawlen(r->L, index) > 0) return false;
  lua_pushnil(r->L);
  if (lua_next(r->L, index) == 0) return !is_list(r, param);
  lua_pop(r->L, 2);
  return true;
}

static int unknown_option(const reader *r, int key) {
  luaL_Buffer known;
  bool random = (r->call->op->flags & PERI_OP_RANDOM) != 0;
  bind_guess guess = bind_guess_for(r->L, key);
  if (random) bind_guess_name(&guess, "generator");
  for (int i = 0; i < PERI_MAX_PARAMS && r->call->op->params[i].name != NULL; i++) {
    if (r->call->op->params[i].optional) bind_guess_name(&guess, r->call->op->params[i].name);
  }
  const char *hint = bind_push_guess(r->L, &guess);
  luaL_buffinit(r->L, &known);
  for (int i = 0; i < PERI_MAX_PARAMS && r->call->op->params[i].name != NULL; i++) {
    if (!r->call->op->params[i].optional) continue;
    if (luaL_bufflen(&known) > 0) luaL_addstring(&known, ", ");
    luaL_addstring(&known, r->call->op->params[i].name);
  }
  if (random) luaL_addstring(&known, luaL_bufflen(&known) > 0 ? ", generator" : "generator");
  luaL_pushresult(&known);
  const char *list = lua_tostring(r->L, -1);
  return bind_error(r->L, r->name, "unknown option %s (known: %s)%s", bind_describe(r->L, key),
                    *list == '\0' ? "none" : list, hint);
}

/* The option of all random rows: the stream that they draw from. */
static void read_generator(const reader *r, int index) {
  peri_stream *stream = bind_to_generator(r->L, r->S, index);
  if (stream == NULL)
    bind_error(r->L, r->name, "generator must be a peri.Generator, got %s", bind_describe(r->L, index));
  r->call->stream = stream;
}

/* Returns which parameter it is, -1 for the generator. */
static int read_option(const reader *r, int key, int value) {
  const peri_param *params = r->call->op->params;
  int i = 0;
  const char *name = lua_type(r->L, key) == LUA_TSTRING ? lua_tostring(r->L, key) : "";
  if ((r->call->op->flags & PERI_OP_RANDOM) && strcmp(name, "generator") == 0) {
    read_generator(r, value);
    return -1;
  }
  while (i < PERI_MAX_PARAMS && params[i].name != NULL && strcmp(params[i].name, name) != 0) i++;
  if (i == PERI_MAX_PARAMS || params[i].name == NULL) unknown_option(r, key);
  if (r->call->args[i].given) bind_error(r->L, r->name, "%s is given twice", name);
  read_argument(r, i, value, value);
  return i;
}

/* What a value is kept alive by stays below the next key, where the table may be weak: its handle, or the room of a
 * long list, or that of tensors and their handles. */
static void read_options(const reader *r, int table) {
  lua_State *L = r->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, 4 * PERI_MAX_PARAMS, r->name);
  for (lua_pushnil(L); lua_next(L, table); lua_settop(L, top + 1)) {
    int param = read_option(r, top + 1, top + 2);
    if (!lua_isuserdata(L, top + 2) && lua_gettop(L) == top + 2) continue;
    int last = lua_gettop(L); /* a tensor, or what a list was read into, stays */
    if (param == 0) *r->first = top + 1;
    lua_rotate(L, top + 1, -1); /* below the key: the table may be weak */
    top = last - 1;
  }
}

void bind_read_arguments(const reader *r, int top) {
  const peri_param *params = r->call->op->params;
  int index = 1, i = 0;
  for (; i < PERI_MAX_PARAMS && params[i].name != NULL && index <= top; i++) {
    if (params[i].named) continue;
    if (params[i].optional && lua_isnil(r->L, index)) {
      index++;
      continue;
    }
    /* a dimension that is left out before other arguments: index_select(x, index) */
    if (params[i].optional && params[i].kind == PERI_KIND_DIM && lua_isuserdata(r->L, index)) continue;
    if (index == top && is_options(r, i, index)) break;
    index += read_argument(r, i, index, top);
  }
  if (index == top && is_options(r, i, index)) {
    read_options(r, index);
    index++;
  }
  if (index <= top) bind_error(r->L, r->name, "too many arguments: %s was not expected", bind_describe(r->L, index));
  for (i = 0; i < PERI_MAX_PARAMS && params[i].name != NULL; i++) {
    if (!r->call->args[i].given && !params[i].optional) bind_error(r->L, r->name, "%s is missing", params[i].name);
    if (params[i].masks) expand_masks(r, i);
  }
}
