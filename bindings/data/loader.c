/* Mini-batches: `for x, y in loader do`. */
#include "data.h"
#include "data/streams.h"
#include "kernels/kernels.h"

#include <stdio.h>

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

static void close_loader(void *object) {
  loader *l = object;
  for (int i = 0; i < l->tensors; i++) peri_tensor_release(&l->tensor[i]);
  l->tensors = 0;
  if (l->order != NULL) peri_free(l->context, l->order, (size_t)l->n * sizeof *l->order);
  l->order = NULL;
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
  loader *l = bind_push_object(L, S, BIND_LOADER, sizeof *l, 0);
  l->context = S->context;
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

static const luaL_Reg loader_metamethods[] = {{"__len", loader_length}, {"__call", next_batch}, {NULL, NULL}};
static const bind_class loader_class = {
    .kind = BIND_LOADER, .name = "perilune.Loader", .collect = close_loader, .metamethods = loader_metamethods};

void data_open_loader(lua_State *L, bind_state *S) {
  bind_open_class(L, S, &loader_class, 0);
  lua_pop(L, 1);
  bind_set_member(
      L, S, NULL, "loader", new_loader,
      "data.loader(tensors, {batch_size = 1, shuffle = false, seed =, drop_last = false}) -> loader\n"
      "`for x, y in loader do` gives mini-batches of the tensors' rows; each `for` is an epoch, whose order depends on "
      "(seed, epoch) alone. Batches in order are views. #loader is the number of batches.");
}
