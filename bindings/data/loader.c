/* Mini-batches: `for x, y in loader do`. */
#include "data.h"
#include "loader.h"
#include "bindings/core/names.h"
#include "bindings/core/rows.h"
#include "data/streams.h"
#include "kernels/kernels.h"

#include <stdio.h>

/* ---- the loader ----
 * `for x, y in loader do`: the loader is the iterator; a call without control value begins an epoch,
 * whose order is a function of (seed, epoch) alone. Batches in order are views, shuffled ones are
 * gathered in one pass over each tensor. */

#define MAX_LOADED 16

struct data_loader {
  peri_context *context;
  int tensors;
  peri_tensor *tensor[MAX_LOADED]; /* contiguous */
  int64_t n, batch_size, next;
  const void *given; /* the last batch's first tensor as Lua knows it; never followed */
  bool shuffle, drop_last;
  bool resumed;         /* it stands within an epoch that another loader began: the next loop goes on there */
  uint64_t seed, epoch; /* epochs that were begun */
  int64_t *order;       /* n positions from 0 when shuffling */
};
typedef struct data_loader loader;

static void close_loader(void *object) {
  loader *l = object;
  for (int i = 0; i < l->tensors; i++) peri_tensor_release(&l->tensor[i]);
  l->tensors = 0;
  if (l->order != NULL) peri_free(l->context, l->order, (size_t)l->n * sizeof *l->order);
  l->order = NULL;
}

/* The order of the epoch that so many came before. */
static peri_status find_order(const loader *l, uint64_t seed, uint64_t before) {
  if (!l->shuffle) return PERI_OK;
  return peri_permutation(l->context, l->n, seed, PERI_STREAM_LOADER + (before << 40), l->order);
}

static peri_status start_epoch(loader *l) {
  if (l->resumed) {
    l->resumed = false;
    return PERI_OK;
  }
  l->next = 0;
  PERI_TRY(find_order(l, l->seed, l->epoch));
  l->epoch++;
  return PERI_OK;
}

static peri_status take_batch(const loader *l, int i, int64_t count, peri_tensor **out) {
  peri_tensor *x = l->tensor[i];
  peri_layout layout = x->layout;
  layout.shape[0] = count;
  PERI_TRY(peri_tensor_check_read(x, "loader", "a tensor"));
  if (!l->shuffle) {
    layout.numel = x->layout.shape[0] == 0 ? 0 : x->layout.numel / x->layout.shape[0] * count;
    layout.offset = peri_tensor_offset(x) + l->next * layout.strides[0];
    return peri_tensor_view(x, &layout, out);
  }
  peri_layout_set(&layout, layout.dtype, layout.ndim, layout.shape);
  PERI_TRY(peri_tensor_empty(l->context, &layout, out));
  size_t bytes = (size_t)(x->layout.numel / l->n) * peri_dtype_size(layout.dtype);
  peri_status status = peri_gather_rows(l->context, count, bytes, x->data, l->order + l->next, 0, (*out)->data);
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

/* A seed of its own for each mini-batch, by the place of its first row; so that a loader that goes on elsewhere
 * changes it in the same way. */
static uint64_t seed_of(const loader *l, int64_t first) {
  peri_stream at = {.seed = l->seed, .block = PERI_STREAM_AUGMENT + (l->epoch << 40) + (uint64_t)first};
  return peri_stream_u64(&at);
}

/* The first of the tensors on the top becomes what the function in the loader's user value makes of it. */
static void augment(lua_State *L, bind_state *S, const loader *l, int64_t count) {
  const int first = lua_gettop(L) - l->tensors + 1;
  if (lua_getiuservalue(L, 1, 1) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, first);
  bind_push_generator(L, S, (peri_stream){.seed = seed_of(l, l->next - count)});
  lua_call(L, 2, 1);
  const peri_tensor *made = bind_to_tensor(L, S, -1);
  if (made == NULL || made->layout.ndim == 0 || made->layout.shape[0] != count) {
    const char *got = bind_describe(L, -1);
    bind_error(L, "loader", "augment gives %s (expected a tensor with the %I rows of the mini-batch)", got,
               (lua_Integer)count);
  }
  lua_replace(L, first);
}

/* A finaliser may run the loader too: from the check of the control value to the last tensor nothing allocates in Lua.
 */
static int next_batch(lua_State *L) {
  bind_state *S = bind_here(L);
  loader *l = lua_touserdata(L, 1); /* only __call of loaders leads here */
  bool begins = lua_isnil(L, 3);
  peri_refuse_replay(S->context, "it takes mini-batches from a loader");
  int64_t count;
  peri_tensor **handles[MAX_LOADED];
  luaL_checkstack(L, l->tensors + 4, "loader");
  for (int i = 0; i < l->tensors; i++) handles[i] = bind_new_tensor(L, S);
  if (!begins && lua_topointer(L, 3) != l->given)
    return bind_error(L, "loader", "another loop over the same loader began before this one ended (make two loaders)");
  BIND_TRY(L, S, take_batches(l, &begins, &count, handles));
  if (count == 0) return 0;
  augment(L, S, l, count);
  l->given = lua_topointer(L, -l->tensors);
  bind_charge(L, S);
  return l->tensors;
}

int64_t data_count_batches(const loader *l) {
  return l->drop_last ? l->n / l->batch_size : (l->n + l->batch_size - 1) / l->batch_size;
}

static int loader_length(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)data_count_batches(lua_touserdata(L, 1)));
  return 1;
}

/* ---- without a loop of Lua ---- */

loader *data_plain_loader(lua_State *L, bind_state *S, int index, int n) {
  if (!bind_is(L, S, index, BIND_LOADER)) return NULL;
  loader *l = lua_touserdata(L, index);
  const bool augmented = lua_getiuservalue(L, index, 1) != LUA_TNIL;
  lua_pop(L, 1);
  return augmented || l->tensors != n ? NULL : l;
}

peri_status data_begin_epoch(loader *l) {
  PERI_TRY(start_epoch(l));
  l->given = NULL; /* a loop that is under way ends with an error */
  return PERI_OK;
}

int64_t data_rows_ahead(const loader *l) {
  const int64_t count = peri_min(l->batch_size, l->n - l->next);
  return l->drop_last && count < l->batch_size ? 0 : count;
}

int64_t data_rows_left(const loader *l) {
  const int64_t left = l->n - l->next;
  return l->drop_last ? left / l->batch_size * l->batch_size : left;
}

void data_pass_rows(loader *l) { l->next += data_rows_ahead(l); }

void data_layout_rows(const loader *l, int i, int64_t count, peri_layout *layout) {
  const peri_layout *x = &l->tensor[i]->layout;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[0] = count;
  peri_layout_set(layout, x->dtype, x->ndim, shape);
}

peri_status data_take_rows(const loader *l, peri_context *context, int i, peri_tensor **into) {
  const peri_tensor *x = l->tensor[i];
  const int64_t count = data_rows_ahead(l);
  peri_layout layout;
  data_layout_rows(l, i, count, &layout);
  if (*into != NULL && ((*into)->layout.dtype != layout.dtype || !peri_same_shape(&(*into)->layout, &layout)))
    peri_tensor_release(into);
  if (*into == NULL) PERI_TRY(peri_tensor_empty(context, &layout, into));
  const size_t bytes = (size_t)(x->layout.numel / l->n) * peri_dtype_size(layout.dtype);
  (*into)->storage->version++;
  if (l->shuffle) return peri_gather_rows(context, count, bytes, x->data, l->order + l->next, 0, (*into)->data);
  memcpy((*into)->data, x->data + (size_t)l->next * bytes, (size_t)count * bytes);
  return PERI_OK;
}

/* Rows of one lane, each of `width` numbers. */
#define TAKE(T, width)                                                                                                 \
  do {                                                                                                                 \
    const T *from = rows;                                                                                              \
    T *out = (T *)into + lane;                                                                                         \
    for (int64_t r = 0; r < count; r++) {                                                                              \
      const T *row = from + (order != NULL ? order[r] : r) * (width);                                                  \
      for (int64_t j = 0; j < (width); j++, out += PERI_LANES) *out = row[j];                                          \
    }                                                                                                                  \
  } while (0)

static void take_lane(size_t size, int64_t width, int64_t count, const void *rows, const int64_t *order, int lane,
                      void *into) {
  if (size == 4 && width == 2) {
    TAKE(int32_t, 2);
  } else if (size == 4) {
    TAKE(int32_t, width);
  } else if (size == 8 && width == 1) {
    TAKE(int64_t, 1);
  } else if (size == 8) {
    TAKE(int64_t, width);
  } else {
    TAKE(char, width);
  }
}
#undef TAKE

void data_take_rows_in_lanes(int n, loader *const *l, int i, void *into) {
  const peri_layout *x = &l[0]->tensor[i]->layout;
  const int64_t count = data_rows_ahead(l[0]), width = x->numel / l[0]->n;
  const size_t size = peri_dtype_size(x->dtype);
  for (int lane = 0; lane < PERI_LANES; lane++) {
    const loader *own = l[lane < n ? lane : 0];
    const char *rows = own->tensor[i]->data;
    if (own->shuffle)
      take_lane(size, width, count, rows, own->order + own->next, lane, into);
    else
      take_lane(size, width, count, rows + (size_t)(own->next * width) * size, NULL, lane, into);
  }
}

bool data_all_accepted(const loader *l, const peri_plan *plan) { return peri_plan_accepts_rows(plan, l->tensor); }

/* ---- where a loader stands ---- */

static loader *self(lua_State *L, const char *method) {
  if (!bind_is(L, bind_here(L), 1, BIND_LOADER))
    bind_error(L, method, "called with %s (expected loader:%s(...))", bind_describe(L, 1), method);
  return lua_touserdata(L, 1);
}

static void set_number(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static int state_dict(lua_State *L) {
  const loader *l = self(L, "state_dict");
  lua_createtable(L, 0, 4);
  set_number(L, "rows", l->n);
  set_number(L, "seed", (int64_t)l->seed);
  set_number(L, "epoch", (int64_t)l->epoch);
  set_number(L, "position", l->next);
  return 1;
}

/* A whole number of the state at stack index 2. */
static int64_t read_number(lua_State *L, const char *name, lua_Integer low) {
  bind_push_entry(L, 2, name);
  return bind_check_whole(L, -1, "load_state_dict", name, low);
}

static int load_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  loader *l = self(L, "load_state_dict");
  lua_settop(L, 2);
  if (!lua_istable(L, 2))
    return bind_error(L, "load_state_dict", "state must be a table, as loader:state_dict() gives it, got %s",
                      bind_describe(L, 2));
  const int64_t rows = read_number(L, "rows", 0), seed = read_number(L, "seed", LUA_MININTEGER);
  const int64_t epoch = read_number(L, "epoch", 0), position = read_number(L, "position", 0);
  if (rows != l->n)
    return bind_error(L, "load_state_dict", "rows is %I, but this loader has %I", (lua_Integer)rows, (lua_Integer)l->n);
  if (position > rows || epoch >= (int64_t)1 << 20)
    return bind_error(L, "load_state_dict",
                      "position is %I in epoch %I (expected at most %I, and fewer than 2^20 epochs)",
                      (lua_Integer)position, (lua_Integer)epoch, (lua_Integer)rows);
  const bool within = epoch > 0 && position > 0 && position < rows;
  if (within) BIND_TRY(L, S, find_order(l, (uint64_t)seed, (uint64_t)epoch - 1));
  l->seed = (uint64_t)seed; /* from here on nothing fails */
  l->epoch = (uint64_t)epoch;
  l->next = position;
  l->resumed = within && !(l->drop_last && rows - position < l->batch_size);
  l->given = NULL; /* a loop that is under way has another order */
  lua_settop(L, 1);
  return 1;
}

/* Upvalue 3 holds the methods. */
static int field(lua_State *L) {
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  }
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  return bind_no_field(L, "loader", bind_describe(L, 2), &guess);
}

/* internal.data.tensors_of(loader) -> list */
int data_loader_tensors(lua_State *L) {
  bind_state *S = bind_here(L);
  const loader *l = self(L, "tensors_of");
  lua_createtable(L, l->tensors, 0);
  for (int i = 0; i < l->tensors; i++) {
    peri_tensor **handle = bind_new_tensor(L, S);
    *handle = peri_tensor_retain(l->tensor[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- making one ---- */

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

/* What changes mini-batches, by the option at stack index 2: a function, or made of a table by
 * lua/internal/augment.lua. False when there is none; else it is pushed. */
static bool push_augment(lua_State *L) {
  if (!lua_istable(L, 2)) return false;
  const int type = bind_push_entry(L, 2, "augment");
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  if (type == LUA_TTABLE) {
    bind_push_internal(L);
    lua_getfield(L, -1, "augment");
    lua_replace(L, -2);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
  } else if (type != LUA_TFUNCTION) {
    bind_error(L, "loader", "augment must be a function or a table of options, got %s", bind_describe(L, -1));
  }
  return true;
}

static int new_loader(lua_State *L) {
  static const peri_option options[] = {
      {"batch_size", PERI_OPTION_INTEGER, 1, 1, 9007199254740992.0, NULL, "rows in a batch"},
      {"shuffle", PERI_OPTION_BOOL, 0, 0, 0, NULL, "a new order in each epoch"},
      {"seed", PERI_OPTION_INTEGER, -1, -1, 9007199254740992.0, NULL,
       "of the orders and of augment; drawn from the default stream when left out"},
      {"drop_last", PERI_OPTION_BOOL, 0, 0, 0, NULL, "leave out a last batch that is short"},
      {NULL}};
  bind_state *S = bind_here(L);
  double values[4];
  bind_options(L, 2, "loader", options, (const char *const[]){"augment", NULL}, values);
  const bool augmented = push_augment(L);
  loader *l = bind_push_object(L, S, BIND_LOADER, sizeof *l, 1);
  if (augmented) {
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
  }
  l->context = S->context;
  load_tensors(L, S, l);
  l->batch_size = (int64_t)values[0];
  l->shuffle = values[1] != 0;
  l->drop_last = values[3] != 0;
  l->seed = values[2] >= 0 ? (uint64_t)values[2] : l->shuffle || augmented ? peri_stream_u64(&S->context->stream) : 0;
  void *order = NULL;
  if (l->shuffle) BIND_TRY(L, S, peri_alloc_array(S->context, (size_t)l->n, sizeof *l->order, &order));
  l->order = order;
  l->next = l->n;
  return 1;
}

static int loader_text(lua_State *L) {
  const loader *l = lua_touserdata(L, 1);
  lua_pushfstring(L, "loader(%I rows, {batch_size = %I%s%s})", (lua_Integer)l->n, (lua_Integer)l->batch_size,
                  l->shuffle ? ", shuffle = true" : "", l->drop_last ? ", drop_last = true" : "");
  return 1;
}

static const bind_function loader_methods[] = {
    {"state_dict", state_dict,
     "loader:state_dict() -> table\n"
     "Where the loader stands: rows (that it has), seed, epoch (how many were begun) and position (rows that the last of "
     "them has given), whole numbers for peri.save or load_state_dict."},
    {"load_state_dict", load_state_dict,
     "loader:load_state_dict(state) -> loader\n"
     "Takes over where a loader of as many rows stood. The next `for` gives what was left of that epoch, in its order, or "
     "begins the next one where nothing was left. A loop that is under way ends with an error.\n"
     "Errors: what no loader gives, or another number of rows; nothing changes then."},
    BIND_HAS("loader"),
    {NULL, NULL, NULL}};
static const luaL_Reg loader_metamethods[] = {
    {"__len", loader_length}, {"__call", next_batch}, {"__index", field}, {"__tostring", loader_text}, {NULL, NULL}};
static const bind_class loader_class = {.kind = BIND_LOADER,
                                        .name = "perilune.Loader",
                                        .collect = close_loader,
                                        .methods = loader_methods,
                                        .metamethods = loader_metamethods};

void data_open_loader(lua_State *L, bind_state *S) {
  bind_open_class(L, S, &loader_class, 0);
  bind_set_class(L, "data.loader", "Methods of loaders", -1);
  lua_pop(L, 1);
  bind_set_member(
      L, S, NULL, "loader", new_loader,
      "data.loader(tensors, {batch_size = 1, shuffle = false, seed =, drop_last = false, augment =}) -> loader\n"
      "`for x, y in loader do` gives mini-batches of the tensors' rows; each `for` is an epoch, whose order depends on "
      "(seed, epoch) alone. Batches in order are views. #loader is the number of batches. loader:state_dict() says where "
      "it stands, for checkpoints.\n"
      "augment changes the first tensor of each mini-batch, by a generator whose seed depends on (seed, epoch, place) "
      "alone: a function(x, generator) -> x, or a table of options for images, N x .. x rows x columns, done in this "
      "order: crop = {size =, padding = 0}, flip = (true: from left to right, or its chance), rotate = (degrees), shift = "
      "(pixels, or {rows, columns}), noise = (standard deviation); value = 0 is what comes in from outside. They are "
      "random_crop, random_flip, random_rotate, random_shift, and normal numbers.");
}
