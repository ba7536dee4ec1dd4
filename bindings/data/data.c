/* peri.data, and what lua/ needs beside it. What is best in Lua (mnist, split, transforms) is in lua/data.lua. */
#include "data.h"
#include "data/measures.h"
#include "data/streams.h"
#include "kernels/scalar.h"

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

/* ---- measures: what data/measures.h has, for metrics, train and svm ---- */

/* The elements of the tensor at index, one behind the other: n of that dtype. NULL when there is none, and it may. */
static const void *check_list(lua_State *L, int index, const char *name, peri_dtype dtype, int64_t n, bool optional) {
  peri_refuse_replay(bind_here(L)->context, "a measure gives the script a number");
  if (optional && lua_isnoneornil(L, index)) return NULL;
  const peri_tensor *x = bind_check_tensor(L, bind_here(L), index, "measures", name);
  if (x->layout.dtype != dtype || x->layout.ndim != 1 || !x->contiguous || (n >= 0 && x->layout.numel != n))
    bind_error(L, "measures", "%s is %s (expected a list of %s)", name, bind_describe(L, index),
               peri_dtype_name(dtype));
  return x->data;
}

static int64_t count_of(lua_State *L, int index) { return (int64_t)luaL_len(L, index); }

/* accuracy(predicted, truth, weights or nil) -> share; int64 and float64, n each */
static int accuracy(lua_State *L) {
  const int64_t *predicted = check_list(L, 1, "predicted", PERI_INT64, -1, false);
  int64_t n = count_of(L, 1);
  const int64_t *truth = check_list(L, 2, "truth", PERI_INT64, n, false);
  lua_pushnumber(L, peri_measure_accuracy(n, truth, predicted, check_list(L, 3, "weights", PERI_FLOAT64, n, true)));
  return 1;
}

/* r_squared(truth, residuals, weights or nil) -> R^2; float64, n each */
static int r_squared(lua_State *L) {
  const double *truth = check_list(L, 1, "truth", PERI_FLOAT64, -1, false);
  int64_t n = count_of(L, 1);
  const double *residuals = check_list(L, 2, "residuals", PERI_FLOAT64, n, false);
  lua_pushnumber(L, peri_measure_r_squared(n, truth, residuals, check_list(L, 3, "weights", PERI_FLOAT64, n, true)));
  return 1;
}

/* r_squared_of(residual, total) -> R^2 of those sums of squares */
static int r_squared_of(lua_State *L) {
  lua_pushnumber(L, peri_measure_r_squared_of(luaL_checknumber(L, 1), luaL_checknumber(L, 2)));
  return 1;
}

/* hits(scores, y, weights or nil) -> how many rows of the float scores, n x k, have their largest entry at the place y
 * (n, int64), or how much weight (n, float64): scores:argmax(2):eq(y):sum(), which a training asks after each of its
 * steps, without the tensors between. */
static int hits(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_tensor *scores = bind_check_tensor(L, S, 1, "hits", "scores"),
                    *y = bind_check_tensor(L, S, 2, "hits", "y");
  peri_refuse_replay(S->context, "a measure gives the script a number");
  const peri_layout *rows = &scores->layout;
  if (rows->ndim != 2 || y->layout.ndim != 1 || y->layout.shape[0] != rows->shape[0] || rows->shape[1] < 1 ||
      !peri_is_float(rows->dtype) || y->layout.dtype != PERI_INT64)
    bind_error(L, "hits", "scores must be n x k floats and y n int64");
  peri_measure_scores given = {.dtype = rows->dtype,
                               .n = rows->shape[0],
                               .k = rows->shape[1],
                               .scores = scores->data,
                               .row_stride = rows->strides[0],
                               .column_stride = rows->strides[1],
                               .truth = (const int64_t *)(const void *)y->data,
                               .truth_stride = y->layout.strides[0]};
  const double *weights = check_list(L, 3, "weights", PERI_FLOAT64, given.n, true);
  double right = peri_measure_hits(&given, weights);
  if (weights == NULL) {
    lua_pushinteger(L, (lua_Integer)right);
  } else {
    lua_pushnumber(L, right);
  }
  return 1;
}

/* exp(x), log(x) and binade(x), the largest power of two that is at most |x|: Lua's own functions are those of a libm,
 * and differ between systems. */
static int exponential(lua_State *L) {
  lua_pushnumber(L, peri_exp(luaL_checknumber(L, 1)));
  return 1;
}
static int logarithm(lua_State *L) {
  lua_pushnumber(L, peri_log(luaL_checknumber(L, 1)));
  return 1;
}
static int binade(lua_State *L) {
  lua_pushnumber(L, peri_binade(luaL_checknumber(L, 1)));
  return 1;
}

/* internal.data, for what is written in Lua */
void bind_open_data_internal(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {{"uniform", uniform},
                                  {"hits", hits},
                                  {"accuracy", accuracy},
                                  {"r_squared", r_squared},
                                  {"r_squared_of", r_squared_of},
                                  {"tensors_of", data_loader_tensors},
                                  {"exp", exponential},
                                  {"log", logarithm},
                                  {"binade", binade},
                                  {"read_csv", data_read_csv},
                                  {"write_csv", data_write_csv},
                                  {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}

void bind_open_data(lua_State *L, bind_state *S) {
  lua_newtable(L);
  data_open_sets(L, S);
  data_open_loader(L, S);
  data_open_formats(L, S);
}
