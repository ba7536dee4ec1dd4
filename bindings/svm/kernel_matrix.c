/* svm.kernel_matrix, and what lua/svm.lua needs beside it: features as every estimator reads them and draws of a
 * seed, for the kernel approximations; LIBSVM's files. */
#include "data/streams.h"
#include "kernels/kernels.h"
#include "svm.h"
#include "svm/kernel/kernel_matrix.h"

#include <float.h>
#include <string.h>

/* ---- kernel_matrix ---- */

/* Of a kernel without gamma 0 will do: fitted machines have it. */
enum { KERNEL, DEGREE, COEF0, GAMMA, VALUES };
static const peri_option options[] = {
    {"kernel", PERI_OPTION_CHOICE, PERI_SVM_RBF, 0, 0, "linear poly rbf sigmoid", "what compares two rows"},
    {"degree", PERI_OPTION_INTEGER, 3, 0, INT32_MAX, NULL, "of poly"},
    {"coef0", PERI_OPTION_NUMBER, 0, 0, 0, NULL, "of poly and sigmoid"},
    PERI_MACHINE_GAMMA(0),
    {NULL}};

static const char who[] = "kernel_matrix";

/* Reads and checks the rows at index, whose tensor stays on the stack. */
static peri_svm_rows read_rows(lua_State *L, bind_state *S, const char *name, int index) {
  peri_svm_samples s = {.n = 0};
  bind_read_rows(L, S, who, name, index, &s);
  peri_svm_rows rows = {.dtype = s.dtype, .n = s.n, .d = s.d, .x = s.x};
  BIND_TRY(L, S, peri_svm_check_rows(S->context, lua_pushfstring(L, "%s (%s)", who, name), &rows));
  return rows;
}

static peri_status compute(peri_context *context, peri_svm_kernel *kernel, peri_gamma_mode mode, double gamma,
                           const peri_svm_rows *a, const peri_svm_rows *b, peri_tensor **out) {
  const peri_svm_rows *columns = b != NULL ? b : a;
  bool wide = a->dtype == PERI_FLOAT64 || columns->dtype == PERI_FLOAT64;
  peri_layout layout = {.dtype = wide ? PERI_FLOAT64 : PERI_FLOAT32, .ndim = 2, .shape = {a->n, columns->n}};
  PERI_TRY(peri_svm_gamma_of(context, who, mode, gamma, columns, &kernel->gamma));
  PERI_TRY(peri_layout_contiguous(context, who, &layout));
  PERI_TRY(peri_tensor_empty(context, &layout, out));
  peri_status status = peri_svm_kernel_matrix(context, who, kernel, a, b, (*out)->data);
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* Whether the value at index is a table with a name in it, which rows do not have. */
static bool is_options(lua_State *L, int index) {
  if (!lua_istable(L, index)) return false;
  lua_pushnil(L);
  if (!lua_next(L, index)) return false;
  bool named = lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return named;
}

static int kernel_matrix(lua_State *L) {
  bind_state *S = bind_here(L);
  double values[VALUES];
  lua_settop(L, 3);
  if (lua_isnil(L, 3) && is_options(L, 2)) lua_rotate(L, 2, 1);
  bind_options(L, 3, who, options, NULL, values);
  int word = peri_option_word(values[GAMMA]);
  peri_gamma_mode mode = word >= 0 ? (peri_gamma_mode)word : PERI_GAMMA_VALUE;
  if (values[GAMMA] == 0 && values[KERNEL] != PERI_SVM_LINEAR) {
    bind_push_entry(L, 3, "gamma");
    return bind_error(L, who, "gamma is %s (expected a finite number > 0)", bind_describe(L, -1));
  }
  bool two = !lua_isnil(L, 2);
  peri_svm_rows a = read_rows(L, S, "A", 1), b = {.n = 0};
  if (two) {
    b = read_rows(L, S, "B", 2);
    if (a.d != b.d) bind_error(L, who, "A has %I features but B has %I", (lua_Integer)a.d, (lua_Integer)b.d);
  }
  peri_svm_kernel kernel = {
      .id = (peri_svm_kernel_id)values[KERNEL], .degree = (int64_t)values[DEGREE], .coef0 = values[COEF0]};
  peri_tensor **out = bind_new_tensor(L, S);
  BIND_TRY(L, S, compute(S->context, &kernel, mode, values[GAMMA], &a, two ? &b : NULL, out));
  bind_charge(L, S);
  return 1;
}

/* ---- for lua/svm.lua ---- */

/* features(X, operation): X as a contiguous float tensor of finite numbers, cut off from the graph */
static int features(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = luaL_checkstring(L, 2);
  peri_svm_samples s = {.n = 0};
  bind_read_features(L, S, operation, 1, &s);
  int at = lua_gettop(L);
  peri_svm_rows rows = {.dtype = s.dtype, .n = s.n, .d = s.d, .x = s.x};
  BIND_TRY(L, S, peri_svm_check_rows(S->context, operation, &rows));
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_detach(bind_to_tensor(L, S, at), handle));
  bind_charge(L, S);
  return 1;
}

/* gamma(X, "scale" or "auto"): the number that it stands for, of a tensor that features has given */
static int gamma_of(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_tensor *x = bind_check_tensor(L, S, 1, "gamma", "X");
  peri_gamma_mode mode = bind_choice("scale auto", luaL_checkstring(L, 2)) == 0 ? PERI_GAMMA_SCALE : PERI_GAMMA_AUTO;
  peri_svm_rows rows = {.dtype = x->layout.dtype, .n = x->layout.shape[0], .d = x->layout.shape[1], .x = x->data};
  double gamma;
  BIND_TRY(L, S, peri_svm_gamma_of(S->context, "gamma", mode, 0, &rows, &gamma));
  lua_pushnumber(L, gamma);
  return 1;
}

typedef enum draw_kind { DRAW_NORMAL, DRAW_ANGLES, DRAW_ORDER } draw_kind;

static peri_status draw(bind_state *S, draw_kind kind, const int64_t *shape, uint64_t seed, peri_tensor **out) {
  uint64_t first = PERI_STREAM_KERNELS + ((uint64_t)kind << 60);
  peri_layout layout = {.dtype = kind == DRAW_ORDER ? PERI_INT64 : PERI_FLOAT64, .ndim = kind == DRAW_NORMAL ? 2 : 1};
  memcpy(layout.shape, shape, 2 * sizeof *shape);
  PERI_TRY(peri_layout_contiguous(S->context, "svm", &layout));
  PERI_TRY(peri_tensor_empty(S->context, &layout, out));
  void *data = (*out)->data;
  int64_t n = layout.numel;
  peri_status status = PERI_OK;
  switch (kind) {
  case DRAW_NORMAL:
    status = peri_fill_normal(S->context, PERI_FLOAT64, n, seed, first, 0, 1, data);
    break;
  case DRAW_ANGLES:
    status = peri_fill_uniform(S->context, PERI_FLOAT64, n, seed, first, 0, 2 * 3.141592653589793, data);
    break;
  case DRAW_ORDER:
    status = peri_permutation(S->context, n, seed, first, data);
    for (int64_t i = 0; i < n && status == PERI_OK; i++) ((int64_t *)data)[i]++;
  }
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* draw("normal", seed, n, m), draw("angles", seed, n), draw("order", seed, n): float64 n x m, float64 n, int64 n */
static int draw_tensor(lua_State *L) {
  bind_state *S = bind_here(L);
  int kind = bind_choice("normal angles order", luaL_checkstring(L, 1));
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  int64_t shape[2] = {luaL_checkinteger(L, 3), luaL_optinteger(L, 4, 1)};
  peri_tensor **out = bind_new_tensor(L, S);
  BIND_TRY(L, S, draw(S, (draw_kind)kind, shape, seed, out));
  bind_charge(L, S);
  return 1;
}

/* warn(message): as every warning of the module, whatever a script has made of the global warn */
static int give_warning(lua_State *L) {
  lua_warning(L, luaL_checkstring(L, 1), 0);
  return 0;
}

/* ---- registration ---- */

void bind_open_kernels(lua_State *L, bind_state *S) {
  static const bind_function public[] = {
      {"kernel_matrix", kernel_matrix,
       "svm.kernel_matrix(A, B, {kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0}) -> tensor\n"
       "Kernel values of the rows of A (m x d, float32 or float64, or a Lua table of rows) and B (n x d): m x n. "
       "Without B (or with nil) those of A with itself, exactly symmetric. Kernels: linear u.v, poly (gamma u.v + "
       "coef0)^degree, rbf exp(-gamma |u - v|^2), sigmoid tanh(gamma u.v + coef0). gamma: 'scale', 1 / (d Var(B)); "
       "'auto', 1 / d; or a number > 0 (linear: of no account). rbf has its digits wherever the rows lie: distances "
       "that cancel are taken from the features' differences. Nothing is recorded for gradients.\n"
       "Errors: unknown options, values out of range, a variance of which gamma = 'scale' makes no number, features "
       "that do not match in number, numbers that are not finite."},
      {NULL, NULL, NULL}};
  static const luaL_Reg internals[] = {{"features", features},
                                       {"folds", estimator_folds},
                                       {"gamma", gamma_of},
                                       {"draw", draw_tensor},
                                       {"warn", give_warning},
                                       {"load_libsvm", bind_load_libsvm},
                                       {"save_libsvm", bind_save_libsvm},
                                       {NULL, NULL}};
  lua_newtable(L);
  bind_set_documented(L, S, public);
  bind_set_functions(L, S, internals);
}
