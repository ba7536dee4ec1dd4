/* t[key] and t[key] = value.
 *
 * A key is a number (a row), a table with one entry for each dimension (a number, {} for all,
 * {from, to, step}, or an int64 tensor of positions), a bool tensor (the elements, or rows, where it
 * is true) or an int64 tensor (rows). Several tensors of positions are broadcast together and name
 * pairs: x[{i, j}] is x[{i[1], j[1]}], x[{i[2], j[2]}] ..; a block is x[{i:view(-1, 1), j}]. It is read into steps
 * first, which own nothing; then the steps run, and intermediate views are released as they go. */
#include "tensor.h"
#include "positions.h"
#include "rows.h"
#include "ops/rows.h"

#include <string.h>

typedef enum step_kind { STEP_ALL, STEP_AT, STEP_RANGE, STEP_ROWS } step_kind;

typedef struct step {
  step_kind kind;
  int64_t from, to, by; /* as the rows select and slice take them */
  peri_tensor *index;
} step;

typedef struct key {
  int steps;
  step step[PERI_MAX_DIMS];
  int tensors; /* how many steps are index tensors: the result is then a copy */
  bool writes; /* the key of an assignment */
} key;

/* ---- reading ---- */

static int64_t read_position(lua_State *L, int index) {
  int whole = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
  if (!whole) bind_error(L, "index", "positions must be whole numbers, got %s", bind_describe(L, index));
  if (value == 0) bind_error(L, "index", "position 0 (counting starts at 1, or at -1 from the end)");
  return value > 0 ? value - 1 : value;
}

/* {from, to, step} of a dimension of the given size. */
static void read_range(lua_State *L, int table, int64_t size, step *s) {
  lua_Unsigned n = lua_rawlen(L, table);
  if (n == 0) return;
  if (n > 3 || n == 1)
    bind_error(L, "index", "a range has %I numbers (expected {}, {from, to} or {from, to, step})", (lua_Integer)n);
  s->kind = STEP_RANGE;
  s->by = 1;
  lua_rawgeti(L, table, 1);
  s->from = read_position(L, lua_gettop(L));
  lua_rawgeti(L, table, 2);
  int whole = 0;
  lua_Integer to = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
  if (!whole) bind_error(L, "index", "positions must be whole numbers, got %s", bind_describe(L, -1));
  if (to == 0 && s->from != 0 && s->from != -size)
    bind_error(L, "index", "range %I to 0 (an empty range has to = from - 1)", (lua_Integer)(s->from + (s->from > 0)));
  s->to = to > 0 ? to - 1 : to == 0 ? -1 - size : to; /* {1, 0} ends before the first */
  lua_pop(L, 2);
  if (n == 3) {
    lua_rawgeti(L, table, 3);
    s->by = lua_tointegerx(L, -1, &whole);
    if (!whole) bind_error(L, "index", "step must be a whole number, got %s", bind_describe(L, -1));
    lua_pop(L, 1);
  }
}

/* A position of a dimension: scripts that would append hear that tensors do not grow. */
static int64_t read_row(lua_State *L, int index, const peri_tensor *x, int dim) {
  int64_t position = read_position(L, index), size = x->layout.shape[dim];
  if (position >= size || position < -size) {
    bind_error(L, "index",
               "position %I is out of range: dimension %d has %I (tensors do not grow; peri.cat joins them)",
               (lua_Integer)(position + (position >= 0)), dim + 1, (lua_Integer)size);
  }
  return position;
}

static void read_step(lua_State *L, bind_state *S, const peri_tensor *x, int index, key *k) {
  if (k->steps == x->layout.ndim) bind_error(L, "index", "the tensor has no dimensions");
  int dim = k->steps++;
  step *s = &k->step[dim];
  *s = (step){.kind = STEP_ALL};
  if (lua_type(L, index) == LUA_TTABLE) {
    read_range(L, index, x->layout.shape[dim], s);
  } else if (bind_to_tensor(L, S, index) != NULL) {
    s->kind = STEP_ROWS;
    s->index = bind_to_tensor(L, S, index);
    k->tensors++;
  } else {
    s->kind = STEP_AT;
    s->from = read_row(L, index, x, dim);
  }
}

static void read_key(lua_State *L, bind_state *S, const peri_tensor *x, int index, key *k) {
  char text[PERI_SHAPE_TEXT];
  k->steps = 0;
  k->tensors = 0;
  k->writes = false;
  if (lua_type(L, index) != LUA_TTABLE) {
    if (lua_type(L, index) != LUA_TNUMBER && bind_to_tensor(L, S, index) == NULL) {
      bind_error(L, "index", "a key must be a number, a table or a tensor, got %s%s", bind_describe(L, index),
                 lua_isboolean(L, index) ? " (== compares identity: x:eq(1) gives a mask)" : "");
    }
    read_step(L, S, x, index, k);
  } else {
    lua_Unsigned n = lua_rawlen(L, index);
    if ((lua_Integer)n > x->layout.ndim) {
      bind_error(L, "index", "%I positions for a tensor of %s", (lua_Integer)n,
                 peri_shape_text(x->layout.ndim, x->layout.shape, text));
    }
    for (lua_Unsigned i = 1; i <= n; i++) {
      lua_rawgeti(L, index, (lua_Integer)i);
      read_step(L, S, x, lua_gettop(L), k);
      if (!lua_isuserdata(L, -1)) lua_pop(L, 1); /* tensors stay: the table may be weak */
    }
  }
}

/* ---- running: *x is replaced by what a step makes of it ---- */

static peri_status run_step(peri_context *context, const step *s, int *dim, peri_tensor **x) {
  static const peri_op *const rows[] = {NULL, &peri_op_select, &peri_op_slice, &peri_op_index_select};
  peri_call call;
  if (s->kind == STEP_ALL) {
    (*dim)++;
    return PERI_OK;
  }
  peri_call_open(&call, context, rows[s->kind]);
  call.args[0].tensor = *x;
  call.args[1].integer = *dim;
  call.args[2].integer = s->from;
  if (s->kind == STEP_RANGE) {
    call.args[3].integer = s->to;
    call.args[4].integer = s->by;
  } else if (s->kind == STEP_ROWS) {
    call.args[1].tensor = s->index;
    call.args[2].integer = *dim;
  }
  if (s->kind != STEP_AT) (*dim)++;
  PERI_TRY(peri_call_run(&call));
  peri_tensor_release(x);
  *x = call.outputs[0].tensor;
  return PERI_OK;
}

/* The views of a key; what its tensors of positions choose together, or one that is no vector, is left to *p. *out is a
 * new reference, or NULL. */
static peri_status run_views(peri_context *context, peri_tensor *x, const key *k, bind_positions *p,
                             peri_tensor **out) {
  peri_tensor *current = peri_tensor_retain(x);
  peri_status status = PERI_OK;
  int dim = 0;
  p->n = 0;
  for (int i = 0; i < k->steps && status == PERI_OK; i++) {
    const step *s = &k->step[i];
    if (s->kind == STEP_ROWS && (k->writes || k->tensors > 1 || s->index->layout.ndim != 1)) {
      p->index[p->n] = s->index;
      p->dim[p->n++] = dim++;
    } else {
      status = run_step(context, s, &dim, &current);
    }
  }
  if (status != PERI_OK) peri_tensor_release(&current);
  *out = current;
  return status;
}

static peri_status run_key(peri_context *context, peri_tensor *x, const key *k, peri_tensor **out) {
  bind_positions p;
  PERI_TRY(run_views(context, x, k, &p, out));
  peri_status status = p.n > 0 ? bind_take_positions(context, &p, out) : PERI_OK;
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* A mask over the first dimension alone chooses rows. */
static bool is_row_mask(const peri_tensor *x, const peri_tensor *mask) {
  return x->layout.ndim > 1 && mask->layout.ndim == 1 && mask->layout.shape[0] == x->layout.shape[0];
}

/* ---- reading elements ---- */

static int get_by_mask(lua_State *L, bind_state *S, peri_tensor *x, peri_tensor *mask) {
  if (!is_row_mask(x, mask)) {
    bind_apply(L, S, &peri_op_masked_select, 2, (peri_tensor *[]){x, mask});
    return 1;
  }
  bind_apply(L, S, &peri_op_nonzero, 1, &mask);
  bind_apply(L, S, &peri_op_index_select, 2, (peri_tensor *[]){x, bind_to_tensor(L, S, -1)});
  return 1;
}

/* One element of a vector, the common case, without a view. */
static bool get_element(lua_State *L, bind_state *S, const peri_tensor *x, int index) {
  int whole;
  if (x->layout.ndim != 1 || (x->requires_grad && S->context->grad_mode) || lua_type(L, index) != LUA_TNUMBER)
    return false;
  lua_Integer i = lua_tointegerx(L, index, &whole);
  if (!whole || i == 0 || i > x->layout.shape[0] || i < -x->layout.shape[0]) return false;
  peri_view element = x->view;
  element.data +=
      (i > 0 ? i - 1 : i + x->layout.shape[0]) * x->layout.strides[0] * (int64_t)peri_dtype_size(x->layout.dtype);
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
  key k;
  if (get_element(L, S, x, 2)) return 1;
  if (ends_ipairs(L, x)) {
    lua_pushnil(L);
    return 1;
  }
  peri_tensor *mask = bind_to_tensor(L, S, 2);
  if (mask != NULL && mask->layout.dtype == PERI_BOOL) return get_by_mask(L, S, x, mask);
  read_key(L, S, x, 2, &k);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, run_key(S->context, x, &k, handle));
  if ((*handle)->layout.ndim == 0 && !((*handle)->requires_grad && S->context->grad_mode))
    bind_push_element(L, &(*handle)->view);
  bind_charge(L, S);
  return 1;
}

/* t[key]: methods first, which upvalue 3 holds. */
int bind_tensor_index(lua_State *L) {
  bind_state *S = bind_here(L);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
    peri_tensor *x = bind_check_tensor(L, S, 1, lua_tostring(L, 2), "x");
    return bind_tensor_property(L, S, x, lua_tostring(L, 2));
  }
  return get(L, S, bind_check_tensor(L, S, 1, "index", "x"));
}

/* ---- writing elements ---- */

/* The frame's argument from the Lua value at stack index 3, which is to be written to a tensor of dtype. */
static void read_value(lua_State *L, bind_state *S, peri_dtype dtype, peri_arg *arg) {
  arg->given = true;
  if (lua_type(L, 3) == LUA_TTABLE) {
    bind_tensor_from_value(L, S, 3, (int)dtype);
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

static peri_status write_call(bind_state *S, const peri_op *op, bool in_place, peri_tensor *x, peri_tensor *where,
                              const peri_arg *value) {
  peri_call call;
  peri_call_open(&call, S->context, op);
  call.in_place = in_place;
  call.args[0].given = true;
  call.args[0].tensor = x;
  call.args[1].given = true;
  call.args[1].tensor = where;
  call.args[where == NULL ? 1 : 2] = *value;
  PERI_TRY(peri_call_run(&call));
  peri_tensor_release(&call.outputs[0].tensor);
  return PERI_OK;
}

/* Rows by a mask or by positions. */
static peri_status set_rows(bind_state *S, peri_tensor *x, peri_tensor *index, const peri_arg *value) {
  if (index->layout.dtype != PERI_BOOL) return write_call(S, &peri_op_index_copy_, false, x, index, value);
  if (!is_row_mask(x, index)) {
    bool number = value->tensor == NULL;
    return write_call(S, number ? &peri_op_masked_fill : &peri_op_masked_copy_, number, x, index, value);
  }
  peri_call call;
  peri_call_open(&call, S->context, &peri_op_nonzero);
  call.args[0].tensor = index;
  PERI_TRY(peri_call_run(&call));
  peri_status status = write_call(S, &peri_op_index_copy_, false, x, call.outputs[0].tensor, value);
  peri_tensor_release(&call.outputs[0].tensor);
  return status;
}

static peri_status set_part(bind_state *S, peri_tensor *x, const key *k, const peri_arg *value) {
  peri_tensor *part;
  bind_positions p;
  PERI_TRY(run_views(S->context, x, k, &p, &part));
  peri_status status = p.n > 0 ? bind_put_positions(S->context, &p, part, value)
                               : write_call(S, &peri_op_copy_, false, part, NULL, value);
  peri_tensor_release(&part);
  return status;
}

int bind_tensor_newindex(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_check_tensor(L, S, 1, "index", "x");
  key k = {.steps = 0};
  peri_arg value = {.given = true};
  if (lua_type(L, 2) == LUA_TSTRING) {
    bind_set_tensor_property(L, S, x, lua_tostring(L, 2));
    return 0;
  }
  peri_tensor *rows = bind_to_tensor(L, S, 2);
  if (rows != NULL && rows->layout.dtype != PERI_BOOL && rows->layout.ndim != 1) rows = NULL; /* a key like others */
  if (rows == NULL) {
    read_key(L, S, x, 2, &k);
    k.writes = true;
  }
  read_value(L, S, x->layout.dtype, &value);
  BIND_TRY(L, S, rows != NULL ? set_rows(S, x, rows, &value) : set_part(S, x, &k, &value));
  return 0;
}
