/* peri.data, and what lua/ needs beside it. What is best in Lua (mnist, split, transforms) is in lua/data.lua. */
#include "data.h"
#include "data/streams.h"
#include "data/svd.h"

#include <math.h>

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

/* internal.data, for what is written in Lua */
void bind_open_data_internal(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {
      {"uniform", uniform},          {"hits", hits}, {"svd", svd}, {"read_csv", data_read_csv},
      {"write_csv", data_write_csv}, {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}

void bind_open_data(lua_State *L, bind_state *S) {
  lua_newtable(L);
  data_open_sets(L, S);
  data_open_loader(L, S);
  data_open_formats(L, S);
}
