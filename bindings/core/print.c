/* Tensors as text: tostring, how it is written (peri.set_printoptions, of one Lua state), and summaries. */
#include "options.h"
#include "tensor.h"

#include <limits.h>

/* ---- tostring ---- */

typedef struct text {
  peri_context *context;
  char *characters;
  size_t bytes;
} text;

static int push_text(lua_State *L) {
  lua_pushstring(L, ((const text *)lua_touserdata(L, 1))->characters);
  return 1;
}

/* The characters of a line, where the script has not said it: the program knows its terminal. */
static int line_width(lua_State *L) {
  int known = 0;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.columns") == LUA_TFUNCTION) {
    lua_call(L, 0, 1);
    known = (int)lua_tointeger(L, -1);
  }
  lua_pop(L, 1);
  return known > 0 ? known : 80;
}

/* lua_pushstring may raise, so that it runs protected while C owns the text. */
int bind_tensor_to_string(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_to_tensor(L, S, 1);
  text t = {.context = S->context};
  if (x == NULL) {
    lua_pushliteral(L, "released tensor");
    return 1;
  }
  if (x->storage->barred == PERI_REVOKED) {
    lua_pushliteral(L, "tensor whose memory has been taken back");
    return 1;
  }
  if (x->storage->barred == PERI_SOURCE) {
    char shape[PERI_SHAPE_TEXT];
    lua_pushfstring(L, "lent %s %s (x:to(\"float32\") converts it)", peri_dtype_name(x->layout.dtype),
                    peri_shape_text(x->layout.ndim, x->layout.shape, shape));
    return 1;
  }
  peri_text_options how = S->print;
  if (how.line_width == 0) how.line_width = line_width(L);
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, &t);
  BIND_TRY(L, S, peri_tensor_text(x, &how, &t.characters, &t.bytes));
  int failed = lua_pcall(L, 1, 1, 0);
  peri_free(t.context, t.characters, t.bytes);
  return failed ? lua_error(L) : 1;
}

/* ---- options ---- */

enum { PRECISION, THRESHOLD, EDGE_ITEMS, LINE_WIDTH, PRINT_OPTIONS };
static const peri_option print_options[] = {
    [PRECISION] = {"precision", PERI_OPTION_INTEGER, 4, 0, PERI_MOST_DIGITS, NULL, ""},
    [THRESHOLD] = {"threshold", PERI_OPTION_INTEGER, 1000, 0, 0x1p53, NULL, ""},
    [EDGE_ITEMS] = {"edge_items", PERI_OPTION_INTEGER, 3, 1, INT_MAX, NULL, ""},
    [LINE_WIDTH] = {"line_width", PERI_OPTION_INTEGER, PERI_OPTION_WORD(0), 1, INT_MAX, "auto", ""},
    {NULL}};

static void print_values(const bind_state *S, double values[PRINT_OPTIONS]) {
  values[PRECISION] = S->print.precision;
  values[THRESHOLD] = (double)S->print.threshold;
  values[EDGE_ITEMS] = (double)S->print.edge_items;
  values[LINE_WIDTH] = S->print.line_width == 0 ? PERI_OPTION_WORD(0) : S->print.line_width;
}

/* sci_mode: true, false, or 'auto', at index. */
static peri_notation read_notation(lua_State *L, int index, peri_notation otherwise) {
  if (lua_isnil(L, index)) return otherwise;
  if (lua_isboolean(L, index)) return lua_toboolean(L, index) ? PERI_NOTATION_SCIENTIFIC : PERI_NOTATION_FIXED;
  if (lua_type(L, index) != LUA_TSTRING || bind_choice("auto", lua_tostring(L, index)) != 0)
    bind_error(L, "set_printoptions", "sci_mode must be true, false or 'auto', got %s", bind_describe(L, index));
  return PERI_NOTATION_CHOSEN;
}

/* Nothing is changed before all is known to be right. */
static int set_printoptions(lua_State *L) {
  static const char *const also[] = {"sci_mode", NULL};
  bind_state *S = bind_here(L);
  double values[PRINT_OPTIONS];
  lua_settop(L, 1);
  if (!lua_istable(L, 1))
    return bind_error(L, "set_printoptions", "options must be a table, got %s", bind_describe(L, 1));
  print_values(S, values);
  bind_read_options(L, 1, "set_printoptions", print_options, also, values);
  bind_push_entry(L, 1, "sci_mode");
  peri_notation notation = read_notation(L, 2, S->print.notation);
  bool own = peri_option_word(values[LINE_WIDTH]) < 0;
  S->print = (peri_text_options){.precision = (int)values[PRECISION],
                                 .threshold = (int64_t)values[THRESHOLD],
                                 .edge_items = (int64_t)values[EDGE_ITEMS],
                                 .line_width = own ? (int)values[LINE_WIDTH] : 0,
                                 .notation = notation};
  return 0;
}

static int get_printoptions(lua_State *L) {
  const bind_state *S = bind_here(L);
  double values[PRINT_OPTIONS];
  print_values(S, values);
  lua_createtable(L, 0, PRINT_OPTIONS + 1);
  for (int i = 0; i < PRINT_OPTIONS; i++) {
    bind_push_option(L, &print_options[i], &values[i]);
    lua_setfield(L, -2, print_options[i].name);
  }
  if (S->print.notation == PERI_NOTATION_CHOSEN) {
    lua_pushliteral(L, "auto");
  } else {
    lua_pushboolean(L, S->print.notation == PERI_NOTATION_SCIENTIFIC);
  }
  lua_setfield(L, -2, "sci_mode");
  return 1;
}

/* ---- summaries ---- */

/* lua/internal/describe.lua computes them. */
static int describe(lua_State *L) {
  bind_self(L, "describe");
  if (lua_gettop(L) > 1)
    return bind_error(L, "describe", "too many arguments: %s was not expected", bind_describe(L, 2));
  bind_push_internal(L);
  lua_getfield(L, -1, "describe_tensor");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* ---- registration ---- */

static const bind_function methods[] = {
    {"describe", describe,
     "x:describe() -> summary\n"
     "What values x has, as a table that prints itself: count (without NaN), mean, std, min, q25, median, q75, max and "
     "nan, how many are NaN. Of a matrix they are vectors with an entry for each column, else numbers of all elements. "
     "NaN is left out everywhere; std divides by count - 1, quartiles are interpolated."},
    {NULL, NULL, NULL}};
static const bind_function functions[] = {
    {"set_printoptions", set_printoptions,
     "set_printoptions{precision =, threshold =, edge_items =, line_width =, sci_mode =}\n"
     "How tensors are printed in this Lua state; what is left out stays as it is. precision: digits behind the point "
     "(4, at most 17). threshold: of more elements the middle is left out (1000), with edge_items entries at each end "
     "of a dimension (3). line_width: characters, or 'auto', the terminal's (80 elsewhere). sci_mode: whether floats "
     "have exponents, true, false or 'auto', by their sizes."},
    {"get_printoptions", get_printoptions,
     "get_printoptions() -> table\nHow tensors are printed, as set_printoptions takes it."},
    {NULL, NULL, NULL}};

void bind_open_print(lua_State *L, bind_state *S, int module, int method_table) {
  bind_add_functions(L, S, method_table, methods);
  bind_add_functions(L, S, module, functions);
}
