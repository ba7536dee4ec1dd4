/* x[key] and x[key] = value; key.h says what a key may be. It is read into entries first, which own nothing; then views
 * are made of those that are no tensors, and released as they go, and what the tensors choose together is read or
 * written (ops/take.c, put.c). */
#include "key.h"
#include "rows.h"
#include "tensor.h"

#include "ops/rows.h"

#include <string.h>

/* ---- running ---- */

/* Index tensors, each for a dimension of what the views have come to. */
typedef struct chosen {
  int n;
  int64_t dim[PERI_MAX_DIMS];
  peri_tensor *index[PERI_MAX_DIMS]; /* references */
} chosen;

static void release_chosen(chosen *c) {
  for (int k = 0; k < c->n; k++) peri_tensor_release(&c->index[k]);
  c->n = 0;
}

/* *x is replaced by what a row makes of it. */
static peri_status replace(peri_call *call, peri_tensor **x) {
  call->args[0].given = call->args[1].given = true;
  call->args[0].tensor = *x;
  PERI_TRY(peri_call_run(call));
  peri_tensor_release(x);
  *x = call->outputs[0].tensor;
  return PERI_OK;
}

static peri_status run_entry(peri_context *context, const bind_entry *e, int dim, peri_tensor **x) {
  static const peri_op *const rows[] = {
      [ENTRY_AT] = &peri_op_select, [ENTRY_RANGE] = &peri_op_slice, [ENTRY_NEW] = &peri_op_unsqueeze};
  peri_call call;
  peri_call_open(&call, context, rows[e->kind]);
  call.args[1].integer = dim;
  if (e->kind != ENTRY_NEW) call.args[2].integer = e->from;
  if (e->kind == ENTRY_RANGE) {
    call.args[3].integer = e->to;
    call.args[4].integer = e->by;
  }
  return replace(&call, x);
}

static peri_status flip(peri_context *context, int64_t dim, peri_tensor **x) {
  peri_call call;
  peri_call_open(&call, context, &peri_op_flip);
  peri_call_sizes(&call, 1, 1, &dim);
  return replace(&call, x);
}

/* The coordinates of what a mask chooses, as one index tensor for each of its dimensions. */
static peri_status add_mask(peri_context *context, peri_tensor *mask, int dim, chosen *c) {
  peri_call call;
  int ndim = mask->layout.ndim;
  peri_call_open(&call, context, ndim == 1 ? &peri_op_nonzero : &peri_op_coordinates);
  call.args[0].tensor = mask;
  PERI_TRY(peri_call_run(&call));
  peri_tensor *found = call.outputs[0].tensor;
  peri_status status = PERI_OK;
  for (int d = 0; d < ndim && status == PERI_OK; d++) {
    peri_tensor *row = peri_tensor_retain(found);
    if (ndim > 1) status = run_entry(context, &(bind_entry){.kind = ENTRY_AT, .from = d}, 0, &row);
    if (status != PERI_OK) {
      peri_tensor_release(&row);
      break;
    }
    c->dim[c->n] = dim + d;
    c->index[c->n++] = row;
  }
  peri_tensor_release(&found);
  return status;
}

/* Dimensions whose ranges go down, of what the views have come to. */
typedef struct turned {
  int n;
  int64_t dim[PERI_MAX_DIMS];
} turned;

/* *out is a view of x, a new reference; what the key's tensors choose of it is left to *c, and which dimensions are to
 * be read from their ends to *t. Nothing on failure. */
static peri_status run_views(peri_context *context, peri_tensor *x, const bind_key *k, chosen *c, turned *t,
                             peri_tensor **out) {
  peri_tensor *current = peri_tensor_retain(x);
  peri_status status = PERI_OK;
  int dim = 0, next = 0; /* of what there is, and of x */
  c->n = t->n = 0;
  for (int i = 0; i < k->n && status == PERI_OK; i++) {
    const bind_entry *e = &k->entry[i];
    dim += e->dim - next; /* where "..." stood */
    next = e->dim + e->dims;
    if (e->kind == ENTRY_INDEX) {
      c->dim[c->n] = dim;
      c->index[c->n++] = peri_tensor_retain(e->tensor);
    } else if (e->kind == ENTRY_MASK) {
      status = add_mask(context, e->tensor, dim, c);
    } else if (e->kind != ENTRY_ALL) {
      status = run_entry(context, e, dim, &current);
      if (e->turned) t->dim[t->n++] = dim;
    }
    dim += e->kind == ENTRY_AT ? 0 : e->kind == ENTRY_NEW ? 1 : e->dims;
  }
  *out = current;
  if (status == PERI_OK) return PERI_OK;
  release_chosen(c);
  peri_tensor_release(out);
  return status;
}

static void set_chosen(peri_call *call, const chosen *c, int dims) {
  call->args[1].given = true;
  call->args[1].tensors = c->index;
  call->args[1].count = c->n;
  peri_call_sizes(call, dims, c->n, c->dim);
}

static peri_status run_key(peri_context *context, peri_tensor *x, const bind_key *k, peri_tensor **out) {
  chosen c;
  turned t;
  peri_call call;
  PERI_TRY(run_views(context, x, k, &c, &t, out));
  peri_status status = PERI_OK;
  for (int i = 0; i < t.n && status == PERI_OK; i++) status = flip(context, t.dim[i], out);
  if (c.n > 0 && status == PERI_OK) {
    peri_call_open(&call, context, &peri_op_index);
    set_chosen(&call, &c, 2);
    status = replace(&call, out);
    if (status == PERI_OK && call.outputs[1].tensor != NULL) peri_tensor_release(&call.outputs[1].tensor);
  }
  if (status != PERI_OK) peri_tensor_release(out);
  release_chosen(&c);
  return status;
}

/* The only entry is a mask of all of x. */
static bool is_whole_mask(const peri_tensor *x, const bind_key *k) {
  return k->n == 1 && k->entry[0].kind == ENTRY_MASK && k->entry[0].dims == x->layout.ndim;
}

/* BIND_TRY of a key's call: where a position of a tensor is none the message says which entry it stands in. */
#define TRY_KEY(L, S, x, k, call)                                                                                      \
  do {                                                                                                                 \
    peri_status key_status = (call);                                                                                   \
    if (bind_retry(L, key_status)) key_status = (call);                                                                \
    if (key_status == PERI_ERR_ARGUMENT && (k)->choosers > 0) bind_check_positions(L, x, k);                           \
    if (key_status != PERI_OK) bind_raise(L, S, key_status);                                                           \
  } while (0)

/* ---- reading elements ---- */

/* Steps *element to a position of dimension dim, where the value at index is one. */
static bool step_to(lua_State *L, int index, const peri_layout *layout, int dim, peri_view *element) {
  int whole;
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  lua_Integer i = lua_tointegerx(L, index, &whole);
  int64_t size = layout->shape[dim];
  if (!whole || i == 0 || i > size || i < -size) return false;
  element->data += (i > 0 ? i - 1 : i + size) * layout->strides[dim] * (int64_t)peri_dtype_size(layout->dtype);
  return true;
}

/* One element, x[i] of a vector or x[{i, j}] of a matrix: the common case, without a view. */
static bool get_element(lua_State *L, bind_state *S, const peri_tensor *x) {
  int ndim = x->layout.ndim;
  if (ndim == 0 || (x->requires_grad && S->context->grad_mode)) return false;
  peri_view element; /* its shape is not read */
  element.layout.dtype = x->layout.dtype;
  element.data = x->data;
  if (ndim == 1 && lua_type(L, 2) == LUA_TNUMBER) {
    if (!step_to(L, 2, &x->layout, 0, &element)) return false;
  } else {
    if (lua_type(L, 2) != LUA_TTABLE || lua_rawlen(L, 2) != (lua_Unsigned)ndim) return false;
    bool found = true;
    for (int d = 0; d < ndim && found; d++) {
      lua_rawgeti(L, 2, d + 1);
      found = step_to(L, lua_gettop(L), &x->layout, d, &element);
      lua_pop(L, 1);
    }
    if (!found) return false;
  }
  bind_push_element(L, &element);
  return true;
}

/* Whether the key at stack index 2 is the one behind the last, and ipairs asks for it to find the end. Who asks tells
 * the call stack: the loop's iterator, which is a C function. For all others x[#x + 1] is an error. */
static bool ends_ipairs(lua_State *L, const peri_tensor *x) {
  lua_Debug caller;
  if (x->layout.ndim == 0 || !lua_isinteger(L, 2) || lua_tointeger(L, 2) != x->layout.shape[0] + 1) return false;
  if (!lua_getstack(L, 1, &caller) || !lua_getinfo(L, "Sn", &caller)) return false;
  return *caller.what == 'C' && strcmp(caller.namewhat, "for iterator") == 0;
}

static int get(lua_State *L, bind_state *S, peri_tensor *x) {
  bind_key k;
  if (get_element(L, S, x)) return 1;
  if (ends_ipairs(L, x)) {
    lua_pushnil(L);
    return 1;
  }
  bind_read_key(L, S, x, 2, &k);
  if (is_whole_mask(x, &k)) {
    bind_apply(L, S, &peri_op_masked_select, 2, (peri_tensor *[]){x, k.entry[0].tensor});
    return 1;
  }
  peri_tensor **handle = bind_new_tensor(L, S);
  TRY_KEY(L, S, x, &k, run_key(S->context, x, &k, handle));
  if ((*handle)->layout.ndim == 0 && !((*handle)->requires_grad && S->context->grad_mode))
    bind_push_element(L, &(*handle)->view);
  bind_charge(L, S);
  return 1;
}

/* t[key]: methods first, which upvalue 3 holds. */
int bind_tensor_index(lua_State *L) {
  const bool by_name = lua_type(L, 2) == LUA_TSTRING;
  if (by_name) { /* a method is found also where the context was stopped: release is one */
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  }
  bind_state *S = bind_here(L);
  if (by_name) {
    peri_tensor *x = bind_check_source(L, S, 1, lua_tostring(L, 2), "x");
    return bind_tensor_property(L, S, x, lua_tostring(L, 2));
  }
  return get(L, S, bind_check_tensor(L, S, 1, "index", "x"));
}

/* ---- writing elements ---- */

/* The frame's argument from the Lua value at stack index 3, which is to be written to a tensor of dtype. */
static void read_value(lua_State *L, bind_state *S, peri_dtype dtype, peri_arg *arg) {
  arg->given = true;
  if (lua_type(L, 3) == LUA_TTABLE) {
    bind_tensor_from_value(L, S, 3, (int)dtype, "index");
    lua_replace(L, 3);
  }
  if (lua_type(L, 3) == LUA_TNUMBER || lua_isboolean(L, 3)) {
    arg->is_integer = lua_isboolean(L, 3) || lua_isinteger(L, 3);
    arg->integer = lua_isboolean(L, 3) ? lua_toboolean(L, 3) : arg->is_integer ? lua_tointeger(L, 3) : 0;
    arg->number = arg->is_integer ? (double)arg->integer : lua_tonumber(L, 3);
  } else {
    arg->tensor = bind_check_tensor(L, S, 3, "index", "the value written");
  }
}

static peri_status write_call(peri_call *call, peri_tensor *x, int arg, const peri_arg *value) {
  call->args[0].given = true;
  call->args[0].tensor = x;
  call->args[arg] = *value;
  PERI_TRY(peri_call_run(call));
  peri_tensor_release(&call->outputs[0].tensor);
  return PERI_OK;
}

static peri_status fill_masked(peri_context *context, peri_tensor *x, peri_tensor *mask, const peri_arg *value) {
  peri_call call;
  peri_call_open(&call, context, &peri_op_masked_fill);
  call.in_place = true;
  call.args[1].given = true;
  call.args[1].tensor = mask;
  return write_call(&call, x, 2, value);
}

/* Where dimension dim of the views stands in what c chooses of them, counted from the last (ops/take.c): index tensors
 * that lie side by side stay where they are, others come first. */
static int64_t place_from_end(const peri_tensor *part, const chosen *c, int64_t dim) {
  int64_t behind = part->layout.ndim - 1 - dim;
  if (c->n == 0) return behind;
  int shared = 0; /* dimensions of the index tensors together */
  for (int i = 0; i < c->n; i++) {
    behind -= c->dim[i] > dim;
    if (c->index[i]->layout.ndim > shared) shared = c->index[i]->layout.ndim;
  }
  bool beside = c->dim[c->n - 1] - c->dim[0] == c->n - 1;
  return beside && c->dim[0] > dim ? behind + shared : behind;
}

/* *given, a tensor in the order of the key, becomes one in the order of the views: a new reference. */
static peri_status turn_value(peri_context *context, const peri_tensor *part, const chosen *c, const turned *t,
                              peri_tensor **given) {
  peri_tensor *value = peri_tensor_retain(*given);
  peri_status status = PERI_OK;
  for (int i = 0; i < t->n && status == PERI_OK; i++) {
    int64_t dim = value->layout.ndim - 1 - place_from_end(part, c, t->dim[i]);
    if (dim >= 0 && value->layout.shape[dim] > 1) status = flip(context, dim, &value);
  }
  *given = value;
  if (status != PERI_OK) peri_tensor_release(given);
  return status;
}

static peri_status write_part(peri_context *context, peri_tensor *part, const chosen *c, const peri_arg *value) {
  peri_call call;
  if (c->n == 0) {
    peri_call_open(&call, context, &peri_op_copy_);
    return write_call(&call, part, 1, value);
  }
  peri_call_open(&call, context, &peri_op_index_put);
  call.in_place = true;
  set_chosen(&call, c, 4);
  return write_call(&call, part, 2, value);
}

static peri_status set_part(peri_context *context, peri_tensor *x, const bind_key *k, const peri_arg *value) {
  peri_tensor *part;
  chosen c;
  turned t;
  peri_arg ordered = *value;
  if (is_whole_mask(x, k) && value->tensor == NULL) return fill_masked(context, x, k->entry[0].tensor, value);
  PERI_TRY(run_views(context, x, k, &c, &t, &part));
  bool turns = t.n > 0 && value->tensor != NULL;
  peri_status status = turns ? turn_value(context, part, &c, &t, &ordered.tensor) : PERI_OK;
  if (status == PERI_OK) status = write_part(context, part, &c, &ordered);
  if (turns && ordered.tensor != NULL) peri_tensor_release(&ordered.tensor);
  release_chosen(&c);
  peri_tensor_release(&part);
  return status;
}

int bind_tensor_newindex(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_check_tensor(L, S, 1, "index", "x");
  bind_key k;
  peri_arg value = {.given = true};
  if (lua_type(L, 2) == LUA_TSTRING) {
    bind_set_tensor_property(L, S, x, lua_tostring(L, 2));
    return 0;
  }
  bind_read_key(L, S, x, 2, &k);
  read_value(L, S, x->layout.dtype, &value);
  TRY_KEY(L, S, x, &k, set_part(S->context, x, &k, &value));
  return 0;
}
