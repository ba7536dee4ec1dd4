/* peri.data: generators, readers, and the loader of mini-batches; peri.save and peri.load. What is
 * best in Lua (mnist) is in lua/data.lua. */
#include "bind.h"
#include "data/csv.h"
#include "data/data.h"
#include "data/sets.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- arguments ---- */

static int64_t check_count(lua_State *L, int index, const char *operation) {
  int whole = 0;
  lua_Integer n = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
  if (!whole || n < 1) bind_error(L, operation, "n must be a whole number from 1, got %s", bind_describe(L, index));
  return n;
}

static const char *check_path(lua_State *L, int index, const char *operation) {
  if (lua_type(L, index) != LUA_TSTRING)
    bind_error(L, operation, "path must be a string, got %s", bind_describe(L, index));
  const char *path = lua_tostring(L, index);
  if (strlen(path) != lua_rawlen(L, index)) bind_error(L, operation, "path holds a zero byte");
  return path;
}

/* A seed as an option has 53 bits, which a double holds. */
#define SEED_OPTION                                                                                                    \
  { "seed", PERI_OPTION_INTEGER, 0, 0, 9007199254740992.0, NULL, "of the generator" }

/* ---- generators ---- */

static int circles(lua_State *L) {
  static const peri_option options[] = {
      {"noise", PERI_OPTION_NUMBER, 0, 0, 1e6, NULL, "standard deviation on both coordinates"},
      {"factor", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "radius of the inner circle"},
      SEED_OPTION,
      {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  double values[3];
  int64_t n = check_count(L, 1, "circles");
  bind_options(L, 2, "circles", options, also, values);
  peri_dtype dtype = PERI_FLOAT32;
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) dtype = bind_check_dtype(L, -1, "circles");
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_circles(S->context, n, values[0], values[1], (uint64_t)values[2], dtype, x, y));
  bind_charge(L, S);
  return 2;
}

static int digits(lua_State *L) {
  static const peri_option options[] = {SEED_OPTION, {NULL}};
  bind_state *S = bind_here(L);
  double values[1];
  int64_t n = check_count(L, 1, "digits");
  bind_options(L, 2, "digits", options, NULL, values);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_digits(S->context, n, (uint64_t)values[0], x, y));
  bind_charge(L, S);
  return 2;
}

/* Of every row of peri_data_sets; the row is upvalue 2. */
static int generate(lua_State *L) {
  static const peri_option seed_options[] = {SEED_OPTION, {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  const peri_data_set *set = lua_touserdata(L, lua_upvalueindex(2));
  peri_option options[PERI_MAX_OPTIONS];
  double values[PERI_MAX_OPTIONS];
  int count = 0;
  for (; set->options[count].name != NULL; count++) options[count] = set->options[count];
  memcpy(options + count, seed_options, sizeof seed_options);
  int64_t n = check_count(L, 1, set->name);
  bind_options(L, 2, set->name, options, also, values);
  peri_dtype dtype = PERI_FLOAT32;
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) dtype = bind_check_dtype(L, -1, set->name);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S), **parameters = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_generate(S->context, set, n, values, (uint64_t)values[count], dtype, x, y, parameters));
  bind_charge(L, S);
  if (*parameters == NULL) lua_pop(L, 1);
  return *parameters == NULL ? 2 : 3;
}

/* svd(x) -> singular values, right singular vectors as rows; x: n x d float64 */
static int svd(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_check_tensor(L, S, 1, "svd", "x");
  peri_tensor **s = bind_new_tensor(L, S), **v = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_svd(x, s, v));
  bind_charge(L, S);
  return 2;
}

/* uniform(seed, first, n) -> list: draws first, first + 1, .. (from 0) of a stream of numbers in [0, 1) */
static int uniform(lua_State *L) {
  lua_Integer seed = luaL_checkinteger(L, 1), first = luaL_checkinteger(L, 2), n = luaL_checkinteger(L, 3);
  peri_stream stream = {.seed = (uint64_t)seed, .block = PERI_STREAM_SEARCH + (uint64_t)first};
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushnumber(L, peri_stream_uniform(&stream));
    lua_rawseti(L, -2, i);
  }
  return 1;
}

/* The place, from 0, of the largest of k numbers at x: the first of equals, and NaN before all, as argmax. */
static int64_t largest(peri_dtype dtype, const char *x, int64_t stride, int64_t k) {
  int64_t place = 0;
  double best = -HUGE_VAL;
  for (int64_t j = 0; j < k; j++) {
    double value = dtype == PERI_FLOAT64 ? ((const double *)(const void *)x)[j * stride]
                                         : (double)((const float *)(const void *)x)[j * stride];
    if (value > best || (isnan(value) && !isnan(best))) {
      best = value;
      place = j;
    }
  }
  return place;
}

/* hits(scores, y) -> how many rows of the float scores, n x k, have their largest entry at the place y (n,
 * int64): scores:argmax(2):eq(y):sum(), which a training asks after each of its steps, without the tensors between. */
static int hits(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_tensor *scores = bind_check_tensor(L, S, 1, "hits", "scores"),
                    *y = bind_check_tensor(L, S, 2, "hits", "y");
  const peri_layout *rows = &scores->layout;
  if (rows->ndim != 2 || y->layout.ndim != 1 || y->layout.shape[0] != rows->shape[0] || rows->shape[1] < 1 ||
      !peri_is_float(rows->dtype) || y->layout.dtype != PERI_INT64)
    bind_error(L, "hits", "scores must be n x k floats and y n int64");
  const int64_t *target = (const int64_t *)(const void *)y->data;
  lua_Integer count = 0;
  for (int64_t i = 0; i < rows->shape[0]; i++) {
    const char *row = scores->data + i * rows->strides[0] * (int64_t)peri_dtype_size(rows->dtype);
    int64_t best = largest(rows->dtype, row, rows->strides[1], rows->shape[1]);
    count += target[i * y->layout.strides[0]] == best + 1;
  }
  lua_pushinteger(L, count);
  return 1;
}

/* ---- IDX ---- */

static int read_idx(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = check_path(L, 1, "read_idx");
  peri_tensor **x = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_idx_read(S->context, path, x));
  bind_charge(L, S);
  return 1;
}

static int write_idx(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = check_path(L, 1, "write_idx");
  BIND_TRY(L, S, peri_idx_write(S->context, path, bind_check_tensor(L, S, 2, "write_idx", "x")));
  return 0;
}

/* ---- svmlight ---- */

static int read_svmlight(lua_State *L) {
  static const peri_option options[] = {
      {"features", PERI_OPTION_INTEGER, 0, 1, 9007199254740992.0, NULL, "columns of X; left out: the largest index"},
      {"zero_based", PERI_OPTION_BOOL, 0, 0, 0, NULL, "indices count from 0"},
      {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  double values[2];
  const char *path = check_path(L, 1, "read_svmlight");
  bind_options(L, 2, "read_svmlight", options, also, values);
  peri_svmlight_options chosen = {.dtype = PERI_FLOAT32, .features = (int64_t)values[0], .zero_based = values[1] != 0};
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) chosen.dtype = bind_check_dtype(L, -1, "read_svmlight");
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S), **qid = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_svmlight_read(S->context, path, &chosen, x, y, qid));
  bind_charge(L, S);
  if (*qid == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return 3;
}

/* The tensor at index, and a reference to it in a handle that is pushed: a collection may run finalisers, which
 * may release the script's own. */
static peri_tensor *keep_tensor(lua_State *L, bind_state *S, int index, const char *operation, const char *name) {
  peri_tensor **handle = bind_new_tensor(L, S);
  *handle = peri_tensor_retain(bind_check_tensor(L, S, index, operation, name));
  return *handle;
}

static int write_svmlight(lua_State *L) {
  static const peri_option options[] = {{"zero_based", PERI_OPTION_BOOL, 0, 0, 0, NULL, "indices count from 0"},
                                        {NULL}};
  static const char *const also[] = {"qid", NULL};
  bind_state *S = bind_here(L);
  double values[1];
  const char *path = check_path(L, 1, "write_svmlight");
  lua_settop(L, 4);
  bind_options(L, 4, "write_svmlight", options, also, values);
  bool grouped = bind_push_entry(L, 4, "qid") != LUA_TNIL;
  int qid_at = lua_gettop(L);
  peri_tensor *qid = grouped ? keep_tensor(L, S, qid_at, "write_svmlight", "qid") : NULL;
  peri_tensor *x = keep_tensor(L, S, 2, "write_svmlight", "X"), *y = keep_tensor(L, S, 3, "write_svmlight", "y");
  BIND_TRY(L, S, peri_svmlight_write(S->context, path, x, y, qid, values[0] != 0));
  return 0;
}

/* ---- CSV: what lua/data/csv.lua asks for, having checked its options ---- */

#define CSV_TYPE "perilune.data.csv"

static int close_csv(lua_State *L) {
  peri_csv_release(lua_touserdata(L, 1));
  return 0;
}

/* The name or position at index. */
static peri_csv_column to_column(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TSTRING) return (peri_csv_column){.name = lua_tostring(L, index)};
  return (peri_csv_column){.position = luaL_checkinteger(L, index)};
}

static int64_t list_length(lua_State *L, int index) {
  return lua_istable(L, index) ? (int64_t)lua_rawlen(L, index) : 0;
}

/* Userdata with the n entries of the list at index as columns or strings; the list keeps the strings alive. */
static const peri_csv_column *push_columns(lua_State *L, int index, int64_t n) {
  peri_csv_column *columns = lua_newuserdatauv(L, (size_t)n * sizeof *columns + 1, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    columns[i] = to_column(L, -1);
    lua_pop(L, 1);
  }
  return columns;
}

static const char *const *push_strings(lua_State *L, int index, int64_t n) {
  const char **strings = lua_newuserdatauv(L, (size_t)n * sizeof *strings + 1, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    strings[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  return strings;
}

/* A table of what was read beside the tensors. */
static void push_csv_info(lua_State *L, const peri_csv *csv) {
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, csv->header);
  lua_setfield(L, -2, "header");
  lua_createtable(L, (int)peri_min(csv->d, 1 << 20), 0);
  for (int64_t i = 0; i < csv->d; i++) {
    if (csv->header) {
      lua_pushstring(L, peri_csv_first(csv, csv->columns[i]));
    } else {
      lua_pushinteger(L, csv->columns[i]);
    }
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "columns");
  if (csv->label == 0) return;
  if (csv->header) {
    lua_pushstring(L, peri_csv_first(csv, csv->label));
  } else {
    lua_pushinteger(L, csv->label);
  }
  lua_setfield(L, -2, "label");
  if (csv->classes.n == 0) return;
  lua_createtable(L, (int)peri_min(csv->classes.n, 1 << 20), 0);
  for (int64_t i = 0; i < csv->classes.n; i++) {
    lua_pushstring(L, csv->classes.text + csv->classes.starts[i]);
    lua_rawseti(L, -2, csv->classes.ranks[i] + 1);
  }
  lua_setfield(L, -2, "classes");
}

/* read_csv(path, {separator, header (0 auto, 1 yes, 2 no), missing, dtype, columns or false, label or false}) ->
 * X, y or nil, info */
static int read_csv(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = check_path(L, 1, "read_csv");
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  for (int i = 1; i <= 6; i++) lua_rawgeti(L, 2, i);
  peri_csv_options options = {.separator = luaL_checkstring(L, 3)[0],
                              .header = (peri_csv_header)luaL_checkinteger(L, 4),
                              .missing = lua_toboolean(L, 5),
                              .dtype = bind_check_dtype(L, 6, "read_csv"),
                              .labelled = lua_toboolean(L, 8),
                              .columns_n = list_length(L, 7)};
  if (options.labelled) options.label = to_column(L, 8);
  options.columns = push_columns(L, 7, options.columns_n);
  peri_csv *csv = lua_newuserdatauv(L, sizeof *csv, 0);
  *csv = (peri_csv){.context = NULL};
  luaL_setmetatable(L, CSV_TYPE);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_csv_read(S->context, path, &options, csv));
  *x = csv->x;
  *y = csv->y;
  csv->x = csv->y = NULL;
  if (*y == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  push_csv_info(L, csv);
  peri_csv_release(csv);
  bind_charge(L, S);
  return 3;
}

/* write_csv(path, X, y or nil, {separator, names or false, classes or false}); names has one for each column */
static int write_csv(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = check_path(L, 1, "write_csv");
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  for (int i = 1; i <= 3; i++) lua_rawgeti(L, 4, i);
  peri_csv_writing options = {.separator = luaL_checkstring(L, 5)[0], .classes_n = list_length(L, 7)};
  if (lua_istable(L, 6)) options.names = push_strings(L, 6, list_length(L, 6));
  options.classes = push_strings(L, 7, options.classes_n);
  peri_tensor *x = keep_tensor(L, S, 2, "write_csv", "X");
  peri_tensor *y = lua_isnil(L, 3) ? NULL : keep_tensor(L, S, 3, "write_csv", "y");
  BIND_TRY(L, S, peri_csv_write(S->context, path, x, y, &options));
  return 0;
}

/* ---- the loader ----
 * `for x, y in loader do`: the loader is the iterator; a call without control value begins an epoch,
 * whose order is a function of (seed, epoch) alone. Batches in order are views, shuffled ones are
 * gathered in one pass over each tensor. */

#define MAX_LOADED 16

typedef struct loader {
  peri_context *context;
  int tensors;
  peri_tensor *tensor[MAX_LOADED]; /* contiguous */
  int64_t n, batch_size, next;
  const void *given; /* the last batch's first tensor as Lua knows it; never followed */
  bool shuffle, drop_last;
  uint64_t seed, epoch;
  int64_t *order; /* n positions from 0 when shuffling */
} loader;

#define LOADER_TYPE "perilune.data.loader"

static int close_loader(lua_State *L) {
  loader *l = lua_touserdata(L, 1);
  for (int i = 0; i < l->tensors; i++) peri_tensor_release(&l->tensor[i]);
  l->tensors = 0;
  if (l->order != NULL) peri_free(l->context, l->order, (size_t)l->n * sizeof *l->order);
  l->order = NULL;
  return bind_bury(L);
}

static peri_status start_epoch(loader *l) {
  l->next = 0;
  if (!l->shuffle) return PERI_OK;
  uint64_t first = PERI_STREAM_LOADER + (l->epoch << 40);
  PERI_TRY(peri_permutation(l->context, l->n, l->seed, first, l->order));
  l->epoch++;
  return PERI_OK;
}

static peri_status take_batch(const loader *l, int i, int64_t count, peri_tensor **out) {
  peri_tensor *x = l->tensor[i];
  peri_layout layout = x->layout;
  layout.shape[0] = count;
  if (!l->shuffle) {
    layout.numel = x->layout.shape[0] == 0 ? 0 : x->layout.numel / x->layout.shape[0] * count;
    layout.offset = peri_tensor_offset(x) + l->next * layout.strides[0];
    return peri_tensor_view(x, &layout, out);
  }
  peri_layout_set(&layout, layout.dtype, layout.ndim, layout.shape);
  PERI_TRY(peri_tensor_empty(l->context, &layout, out));
  size_t bytes = (size_t)(x->layout.numel / l->n) * peri_dtype_size(layout.dtype);
  peri_status status = peri_gather_rows(l->context, count, bytes, x->data, l->order + l->next, (*out)->data);
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* The next batch into the handles; *count is 0 at the epoch's end. */
static peri_status take_batches(loader *l, bool *begins, int64_t *count, peri_tensor **const *handles) {
  if (*begins) PERI_TRY(start_epoch(l));
  *begins = false;
  *count = peri_min(l->batch_size, l->n - l->next);
  if (l->drop_last && *count < l->batch_size) *count = 0;
  for (int i = 0; *count > 0 && i < l->tensors; i++) {
    peri_tensor_release(handles[i]);
    PERI_TRY(take_batch(l, i, *count, handles[i]));
  }
  l->next += *count;
  return PERI_OK;
}

/* A finaliser may run the loader too: from the check of the control value to the last tensor nothing allocates in Lua.
 */
static int next_batch(lua_State *L) {
  bind_state *S = bind_here(L);
  loader *l = lua_touserdata(L, 1); /* only __call of loaders leads here */
  bool begins = lua_isnil(L, 3);
  int64_t count;
  peri_tensor **handles[MAX_LOADED];
  luaL_checkstack(L, l->tensors + 4, "loader");
  for (int i = 0; i < l->tensors; i++) handles[i] = bind_new_tensor(L, S);
  if (!begins && lua_topointer(L, 3) != l->given)
    return bind_error(L, "loader", "another loop over the same loader began before this one ended (make two loaders)");
  BIND_TRY(L, S, take_batches(l, &begins, &count, handles));
  if (count == 0) return 0;
  l->given = lua_topointer(L, -l->tensors);
  bind_charge(L, S);
  return l->tensors;
}

static int loader_length(lua_State *L) {
  const loader *l = lua_touserdata(L, 1);
  lua_pushinteger(L, l->drop_last ? l->n / l->batch_size : (l->n + l->batch_size - 1) / l->batch_size);
  return 1;
}

/* The tensors at the entries of the table at index 1, all with the same first size. */
static void load_tensors(lua_State *L, bind_state *S, loader *l) {
  int count = lua_istable(L, 1) ? (int)lua_rawlen(L, 1) : 0;
  if (count < 1 || count > MAX_LOADED)
    bind_error(L, "loader", "the first argument must be a table of 1 to %d tensors, got %s", MAX_LOADED,
               bind_describe(L, 1));
  for (int i = 0; i < count; i++) {
    char name[32];
    snprintf(name, sizeof name, "tensor %d", i + 1);
    lua_rawgeti(L, 1, i + 1);
    peri_tensor *x = bind_check_tensor(L, S, -1, "loader", name);
    if (x->layout.ndim == 0) bind_error(L, "loader", "%s has no dimensions", name);
    if (i > 0 && x->layout.shape[0] != l->n) {
      bind_error(L, "loader", "%s has %I rows but tensor 1 has %I", name, (lua_Integer)x->layout.shape[0],
                 (lua_Integer)l->n);
    }
    l->n = x->layout.shape[0];
    BIND_TRY(L, S, peri_tensor_contiguous(x, &l->tensor[i]));
    l->tensors++;
    lua_pop(L, 1);
  }
}

static int new_loader(lua_State *L) {
  static const peri_option options[] = {
      {"batch_size", PERI_OPTION_INTEGER, 1, 1, 9007199254740992.0, NULL, "rows in a batch"},
      {"shuffle", PERI_OPTION_BOOL, 0, 0, 0, NULL, "a new order in each epoch"},
      {"seed", PERI_OPTION_INTEGER, -1, -1, 9007199254740992.0, NULL,
       "of the orders; drawn from the default stream when left out"},
      {"drop_last", PERI_OPTION_BOOL, 0, 0, 0, NULL, "leave out a last batch that is short"},
      {NULL}};
  bind_state *S = bind_here(L);
  double values[4];
  bind_options(L, 2, "loader", options, NULL, values);
  loader *l = lua_newuserdatauv(L, sizeof *l, 0);
  *l = (loader){.context = S->context};
  luaL_setmetatable(L, LOADER_TYPE);
  load_tensors(L, S, l);
  l->batch_size = (int64_t)values[0];
  l->shuffle = values[1] != 0;
  l->drop_last = values[3] != 0;
  l->seed = values[2] >= 0 ? (uint64_t)values[2] : l->shuffle ? peri_stream_u64(&S->context->stream) : 0;
  void *order = NULL;
  if (l->shuffle) BIND_TRY(L, S, peri_alloc_array(S->context, (size_t)l->n, sizeof *l->order, &order));
  l->order = order;
  l->next = l->n;
  return 1;
}

/* ---- peri.save and peri.load ---- */

typedef struct named_list {
  bind_state *S;
  peri_named_tensors list;
} named_list;

static int close_list(lua_State *L) {
  named_list *n = lua_touserdata(L, 1);
  peri_named_tensors_release(n->S->context, &n->list);
  return 0;
}

/* peri.load(path) -> {name = tensor}, metadata */
static int load(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = check_path(L, 1, "load");
  named_list *n = lua_newuserdatauv(L, sizeof *n, 0);
  *n = (named_list){.S = S};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  BIND_TRY(L, S, peri_safetensors_read(S->context, path, &n->list));
  lua_createtable(L, 0, n->list.n < 1000000 ? (int)n->list.n : 0);
  for (size_t i = 0; i < n->list.n; i++) {
    peri_tensor **handle = bind_new_tensor(L, S);
    *handle = peri_tensor_retain(n->list.tensors[i]);
    lua_setfield(L, -2, n->list.names[i]);
  }
  lua_createtable(L, 0, 0);
  for (size_t i = 0; i < n->list.metadata_n; i++) {
    lua_pushstring(L, n->list.values[i]);
    lua_setfield(L, -2, n->list.keys[i]);
  }
  bind_charge(L, S);
  return 2;
}

/* Counts the pairs of the table at index, whose keys must be strings. */
static size_t count_pairs(lua_State *L, int index, const char *what) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), n++) {
    if (lua_type(L, -2) != LUA_TSTRING)
      bind_error(L, "save", "%s must have strings as keys, got %s", what, bind_describe(L, -2));
  }
  return n;
}

/* Pushes a table of our own with the n pairs of the table at index, which a finaliser may change, or the collector when
 * it is weak. Returns where it stands. */
static int keep_pairs(lua_State *L, int index, size_t n) {
  lua_createtable(L, 0, (int)n); /* with room for all: from here on nothing allocates */
  int kept = lua_gettop(L);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, index); i++) {
    if (i == n || lua_type(L, -2) != LUA_TSTRING) break;
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, kept);
  }
  if (i != n || lua_gettop(L) != kept) bind_error(L, "save", "a table was changed while it was read");
  return kept;
}

/* peri.save(path, {name = tensor}, {metadata strings}) */
static int save(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = check_path(L, 1, "save");
  if (!lua_istable(L, 2))
    return bind_error(L, "save", "tensors must be a table of names and tensors, got %s", bind_describe(L, 2));
  if (!lua_isnoneornil(L, 3) && !lua_istable(L, 3))
    return bind_error(L, "save", "metadata must be a table of strings, got %s", bind_describe(L, 3));
  lua_settop(L, 3);
  size_t n = count_pairs(L, 2, "tensors"), m = lua_istable(L, 3) ? count_pairs(L, 3, "metadata") : 0;
  const char **words = lua_newuserdatauv(L, (n + 2 * m + 1) * sizeof *words, 0);
  peri_tensor **tensors = lua_newuserdatauv(L, (n + 1) * sizeof *tensors, 0);
  luaL_checkstack(L, 8, "save");
  int kept = keep_pairs(L, 2, n);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, kept); lua_pop(L, 1), i++) {
    words[i] = lua_tostring(L, -2);
    tensors[i] = bind_check_tensor(L, S, -1, "save", words[i]);
  }
  if (m > 0) kept = keep_pairs(L, 3, m);
  for (lua_pushnil(L); m > 0 && lua_next(L, kept); lua_pop(L, 1), i++) {
    words[i] = lua_tostring(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING)
      bind_error(L, "save", "metadata %s must be a string, got %s", words[i], bind_describe(L, -1));
    words[i + m] = lua_tostring(L, -1);
  }
  BIND_TRY(L, S, peri_safetensors_write(S->context, path, n, words, tensors, m, words + n, words + n + m));
  return 0;
}

/* ---- registration ---- */

static const bind_function functions[] = {
    {"circles", circles,
     "data.circles(n, {noise = 0, factor = 0.5, seed = 0, dtype = 'float32'}) -> X, y\n"
     "Two concentric rings, as scikit-learn's make_circles: X is n x 2, y int64: 1 on the outer ring (radius 1), 2 on "
     "the inner (radius factor)."},
    {"digits", digits,
     "data.digits(n, {seed = 0}) -> X, y\n"
     "Handwritten-like digits of 28 x 28 pixels: X is n x 784 float32 in [0, 1], y int64: the digit + 1. Image i "
     "depends on (seed, i) alone."},
    {"loader", new_loader,
     "data.loader(tensors, {batch_size = 1, shuffle = false, seed =, drop_last = false}) -> loader\n"
     "`for x, y in loader do` gives mini-batches of the tensors' rows; each `for` is an epoch, whose order depends on "
     "(seed, epoch) alone. Batches in order are views. #loader is the number of batches."},
    {"read_idx", read_idx,
     "data.read_idx(path) -> tensor\n"
     "Reads an IDX file (the MNIST family), plain or compressed with gzip."},
    {"read_svmlight", read_svmlight,
     "data.read_svmlight(path, {dtype = 'float32', features =, zero_based = false}) -> X, y, qid\n"
     "Reads a file of SVMlight and LIBSVM (`label qid:query index:value ..`, `#` begins a comment), plain or "
     "compressed "
     "with gzip. X is n x d of dtype (float32 or float64), d = features or the largest index; y is n, int64 when every "
     "label is a whole number, else float64; qid is n int64, or nil when the file has none. zero_based: indices count "
     "from 0, not from 1.\n"
     "Errors name file and line: what is no number or index:value, indices that do not ascend, several labels, a qid "
     "in "
     "some lines only, an X that has no room within the memory limit (before it is allocated), or that a short text "
     "makes huge without features."},
    {"write_svmlight", write_svmlight,
     "data.write_svmlight(path, X, y, {qid =, zero_based = false})\n"
     "Writes X (n x d, float32 or float64), y (n finite numbers) and qid (n int64) as read_svmlight reads them, with "
     "as "
     "many digits as give the same bits again; zeros are left out. The file is written whole or not at all."},
    {"write_idx", write_idx, "data.write_idx(path, x)\nWrites a uint8 tensor of 1 to 8 dimensions as IDX."},
    {NULL, NULL, NULL}};

/* internal.data, for what is written in Lua */
void bind_open_data_internal(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {{"uniform", uniform},   {"hits", hits},           {"svd", svd},
                                  {"read_csv", read_csv}, {"write_csv", write_csv}, {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}

void bind_open_data(lua_State *L, bind_state *S) {
  luaL_newmetatable(L, CSV_TYPE);
  lua_pushcfunction(L, close_csv);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, LOADER_TYPE);
  lua_pushcfunction(L, close_loader);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, loader_length);
  lua_setfield(L, -2, "__len");
  bind_push_function(L, S, next_batch, 0);
  lua_setfield(L, -2, "__call");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_newtable(L);
  bind_set_documented(L, S, functions);
  for (const peri_data_set *set = peri_data_sets; set->name != NULL; set++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)set);
    bind_push_function(L, S, generate, 1);
    bind_document(L, set->doc);
    lua_setfield(L, -2, set->name);
  }
}

void bind_open_files(lua_State *L, bind_state *S) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_list);
  lua_setfield(L, -2, "__gc");
  bind_push_function(L, S, load, 1);
  bind_document(L, "load(path) -> tensors, metadata\n"
                   "Reads a safetensors file: a table of names and tensors, and its metadata, a table of strings. "
                   "Nothing in the file is executed.");
  lua_setfield(L, -2, "load");
  bind_push_function(L, S, save, 0);
  bind_document(L, "save(path, tensors, metadata)\n"
                   "Writes a table of names and tensors (what state_dict gives) as safetensors, whole or not at all.");
  lua_setfield(L, -2, "save");
}
