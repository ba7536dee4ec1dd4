/* Reading samples; see samples.h. */
#include "samples.h"

#include <string.h>

/* ---- tensors ---- */

/* Pushes an uninitialised tensor. */
static peri_tensor *push_array(lua_State *L, bind_state *S, const char *operation, peri_dtype dtype, int ndim,
                               const int64_t *shape) {
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_shaped(S->context, operation, dtype, ndim, shape, handle));
  return *handle;
}

/* Pushes x, or a contiguous copy of it. */
static const peri_tensor *push_contiguous(lua_State *L, bind_state *S, peri_tensor *x) {
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_contiguous(x, handle));
  return *handle;
}

/* ---- features ---- */

/* A table of rows, as float64. */
static void read_table(lua_State *L, bind_state *S, const char *operation, const char *name, int index,
                       peri_svm_samples *s) {
  s->n = (int64_t)lua_rawlen(L, index);
  if (s->n == 0) bind_error(L, operation, "%s is an empty table (expected rows of numbers)", name);
  if (lua_rawgeti(L, index, 1) != LUA_TTABLE) {
    bind_error(L, operation, "row 1 of %s is %s (expected a table of numbers)", name, bind_describe(L, -1));
  }
  s->d = (int64_t)lua_rawlen(L, -1);
  lua_pop(L, 1);
  double *out = (double *)(void *)push_array(L, S, operation, PERI_FLOAT64, 2, (int64_t[]){s->n, s->d})->data;
  for (int64_t i = 1; i <= s->n; i++) {
    if (lua_rawgeti(L, index, i) != LUA_TTABLE) {
      bind_error(L, operation, "row %I of %s is %s (expected a table of numbers)", (lua_Integer)i, name,
                 bind_describe(L, -1));
    }
    if ((int64_t)lua_rawlen(L, -1) != s->d) {
      bind_error(L, operation, "row %I of %s has %I values but row 1 has %I", (lua_Integer)i, name,
                 (lua_Integer)lua_rawlen(L, -1), (lua_Integer)s->d);
    }
    for (int64_t j = 1; j <= s->d; j++) {
      if (lua_rawgeti(L, -1, j) != LUA_TNUMBER) {
        bind_error(L, operation, "%s has %s in row %I, column %I (expected a number)", name, bind_describe(L, -1),
                   (lua_Integer)i, (lua_Integer)j);
      }
      *out++ = lua_tonumber(L, -1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  s->dtype = PERI_FLOAT64;
}

void bind_read_rows(lua_State *L, bind_state *S, const char *operation, const char *name, int index,
                    peri_svm_samples *s) {
  char text[PERI_SHAPE_TEXT];
  if (lua_istable(L, index)) {
    read_table(L, S, operation, name, index, s);
  } else {
    peri_tensor *x = bind_check_tensor(L, S, index, operation, name);
    if (x->layout.ndim != 2) {
      bind_error(L, operation, "%s has shape %s (expected n x d, a row for each sample)", name,
                 peri_shape_text(x->layout.ndim, x->layout.shape, text));
    }
    if (!peri_is_float(x->layout.dtype)) {
      bind_error(L, operation, "%s is %s (expected float32 or float64)", name, peri_dtype_name(x->layout.dtype));
    }
    s->dtype = x->layout.dtype;
    s->n = x->layout.shape[0];
    s->d = x->layout.shape[1];
    push_contiguous(L, S, x);
  }
  if (s->d == 0) bind_error(L, operation, "%s is %Ix0 (expected 1 or more features)", name, (lua_Integer)s->n);
  s->x = bind_to_tensor(L, S, -1)->data;
  s->ldx = s->d;
}

void bind_read_features(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s) {
  bind_read_rows(L, S, operation, "X", index, s);
}

/* ---- one value for each row: labels, weights ---- */

typedef struct column {
  const char *name, *values;
  peri_dtype dtype; /* int64: whole numbers are asked for */
} column;
static const column labels = {"y", "labels", PERI_INT64}, numbers = {"y", "values", PERI_FLOAT64},
                    row_weights = {"sample_weight", "values", PERI_FLOAT64};

/* Pushes element i (from 0) of the table or contiguous tensor at index as a Lua value. */
static void push_element(lua_State *L, const peri_tensor *tensor, int index, int64_t i) {
  if (tensor == NULL) {
    lua_rawgeti(L, index, i + 1);
    return;
  }
  peri_dtype dtype = tensor->layout.dtype;
  const char *at = tensor->data + i * (int64_t)peri_dtype_size(dtype);
  if (peri_is_float(dtype)) {
    lua_pushnumber(L, peri_load_number(dtype, at));
  } else {
    lua_pushinteger(L, peri_load_integer(dtype, at));
  }
}

static void check_column_tensor(lua_State *L, const char *operation, const column *c, const peri_tensor *x) {
  char text[PERI_SHAPE_TEXT];
  if (x->layout.ndim != 1) {
    bind_error(L, operation, "%s has shape %s (expected one dimension, an entry for each row of X)", c->name,
               peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
  if (x->layout.dtype == PERI_BOOL) bind_error(L, operation, "%s is bool (expected numbers)", c->name);
}

/* The n values at index as an array of c->dtype, kept by a tensor left on the stack. */
static const void *read_column(lua_State *L, bind_state *S, const char *operation, const column *c, int index,
                               int64_t n) {
  const peri_tensor *from = NULL;
  lua_Integer count;
  if (lua_istable(L, index)) {
    count = (lua_Integer)lua_rawlen(L, index);
  } else {
    peri_tensor *x = bind_check_tensor(L, S, index, operation, c->name);
    check_column_tensor(L, operation, c, x);
    count = x->layout.shape[0];
    from = push_contiguous(L, S, x);
  }
  if (count != n) {
    bind_error(L, operation, "X has %I rows but %s has %I %s", (lua_Integer)n, c->name, count, c->values);
  }
  if (from != NULL && from->layout.dtype == c->dtype) return from->data;
  char *out = push_array(L, S, operation, c->dtype, 1, &n)->data;
  for (int64_t i = 0; i < n; i++) {
    int whole = 0;
    push_element(L, from, index, i);
    bool number = lua_type(L, -1) == LUA_TNUMBER;
    if (c->dtype == PERI_INT64) {
      ((int64_t *)(void *)out)[i] = number ? lua_tointegerx(L, -1, &whole) : 0;
      number = whole;
    } else {
      ((double *)(void *)out)[i] = lua_tonumber(L, -1);
    }
    if (!number) {
      bind_error(L, operation, "entry %I of %s is %s (expected a %s)", (lua_Integer)i + 1, c->name,
                 bind_describe(L, -1), c->dtype == PERI_INT64 ? "whole number" : "number");
    }
    lua_pop(L, 1);
  }
  return out;
}

void bind_read_labels(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s) {
  s->labels = read_column(L, S, operation, &labels, index, s->n);
}

void bind_read_targets(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s) {
  s->targets = read_column(L, S, operation, &numbers, index, s->n);
}

void bind_read_weights(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s) {
  s->weights = read_column(L, S, operation, &row_weights, index, s->n);
}
