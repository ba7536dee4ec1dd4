/* Options as scripts write them: a layer whose row no shipped layer needs yet, with sizes and options that are lists,
 * words or both, is made, read, shown and refused from Lua. */
#include "bindings/core/options.h"
#include "bindings/nn/nn.h"
#include "bindings/svm/svm.h"
#include "option_support.h"

#include <lauxlib.h>
#include <lualib.h>
#include <perilune/lua.h>

static peri_status fill_ones(const peri_layer *layer, peri_tensor *parameter) {
  (void)layer;
  for (int64_t i = 0; i < parameter->layout.numel; i++) ((float *)(void *)parameter->data)[i] = 1;
  return PERI_OK;
}

static peri_status forward_same(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                peri_tensor **out) {
  (void)layer, (void)activation;
  *out = peri_tensor_retain(inputs[0]);
  return PERI_OK;
}

static const peri_layer_kind patches = {
    .name = "Patches",
    .inputs = 1,
    .sizes = PERI_SIZES({"in_channels"}, {"out_channels"}, {"kernel_size", 2}),
    .options =
        PERI_OPTIONS({"stride", PERI_OPTION_INTEGER, NAN, 1, 1000, NULL, "steps of the kernel", 2, "kernel_size"},
                     {"padding", PERI_OPTION_INTEGER, 0, 0, 1000, "same valid", "zeros around x", 2},
                     {"mode", PERI_OPTION_CHOICE, 0, 0, 0, "zeros reflect", "of padding"},
                     {"bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add a learned bias"},
                     {"slope", PERI_OPTION_NUMBER, PERI_OPTION_WORD(0), 0, 2, "auto steep", "a number or a word"}),
    .parameters = PERI_PARAMETERS({"weight", .ndim = 4, .shape = {1, 0, 2, 3}, .initialise = fill_ones},
                                  {"bias", "bias", 1, {1}, fill_ones}),
    .forward = forward_same,
    .doc = "Patches(in_channels, out_channels, kernel_size) -> layer"};

/* `P` makes such a layer, `fails(text, ...)` checks the message of P(...). */
static const char *const prelude =
    "peri = require 'perilune'  nn = peri.nn\n"
    "function same(a, b)\n"
    "  local function text(x) return type(x) == 'table' and '{' .. table.concat(x, ' ') .. '}' or tostring(x) end\n"
    "  if text(a) ~= text(b) then error('got ' .. text(a) .. ', expected ' .. text(b), 2) end\n"
    "end\n"
    "function fails(text, ...)\n"
    "  local ok, message = pcall(P, ...)\n"
    "  if ok or not message:find('Patches: ' .. text, 1, true) then\n"
    "    error(('expected %s, got %s'):format(text, ok and 'a layer' or message), 2)\n"
    "  end\n"
    "end\n";

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  peri_lua_open(L, NULL);
  lua_getfield(L, -1, "nn");
  nn_push_constructor(L, bind_open(L, NULL), &patches);
  lua_setglobal(L, "P");
  lua_settop(L, 0);
  return L;
}

static void run(const char *script) {
  lua_State *L = open_state();
  if (luaL_dostring(L, prelude) != LUA_OK || luaL_loadbuffer(L, script, strlen(script), "=script") != LUA_OK ||
      lua_pcall(L, 0, 0, 0) != LUA_OK)
    PERI_CHECK(0, "%s", lua_tostring(L, -1));
  lua_close(L);
}

static void values(void) {
  run("local a = P(3, 8, 5)\n"
      "same(a.weight.shape, {8, 3, 5, 5})  same(a.kernel_size, {5, 5})  same(a.in_channels, 3)\n"
      "same(a.stride, {5, 5})  same(a.padding, {0, 0})  same(a.mode, 'zeros')  same(a.slope, 'auto')\n"
      "local b = P(3, 8, {5, 2}, {stride = 2, padding = {1, 0}, mode = 'reflect', slope = 0.5})\n"
      "same(b.weight.shape, {8, 3, 5, 2})  same(b.kernel_size, {5, 2})\n"
      "same(b.stride, {2, 2})  same(b.padding, {1, 0})  same(b.mode, 'reflect')  same(b.slope, 0.5)\n"
      "assert(math.type(b.padding[1]) == 'integer' and math.type(b.slope) == 'float')\n"
      "local c = P(3, 8, {5}, {stride = {2}, padding = 'valid', bias = false, slope = 'steep'})\n"
      "same(c.kernel_size, {5, 5})  same(c.stride, {2, 2})  same(c.padding, 'valid')  same(c.slope, 'steep')\n"
      "assert(c.bias == nil and b.bias ~= nil)\n"
      "b.padding[1] = 7  same(b.padding, {1, 0})\n"
      "P(3, 8, {5, 2}):load_state_dict(b:state_dict())\n");
}

static void texts(void) {
  run("same(tostring(P(3, 8, 5)), 'Patches(3, 8, 5)')\n"
      "same(tostring(P(3, 8, {5, 5}, {stride = {5, 5}, padding = 0})), 'Patches(3, 8, 5)')\n"
      "same(tostring(P(3, 8, {5, 2}, {stride = {5, 2}})), 'Patches(3, 8, {5, 2})')\n"
      "same(tostring(P(3, 8, {5, 2}, {stride = 5, padding = {1, 0}, mode = 'reflect'})),\n"
      "  'Patches(3, 8, {5, 2}, {stride = 5, padding = {1, 0}, mode = \"reflect\"})')\n"
      "same(tostring(P(1, 1, 2, {padding = 'same', bias = false, slope = 1.5})),\n"
      "  'Patches(1, 1, 2, {padding = \"same\", bias = false, slope = 1.5})')\n"
      "same(tostring(P(1, 1, 2, {slope = 'steep', dtype = 'float64'})),\n"
      "  'Patches(1, 1, 2, {slope = \"steep\", dtype = \"float64\"})')\n"
      /* what is shown makes the same layer again */
      "local b = P(3, 8, {5, 2}, {stride = 5, padding = 'valid', slope = 'steep'})\n"
      "same(tostring(load('return ' .. tostring(b), 'text', 't', {Patches = P})()), tostring(b))\n");
}

static void refused(void) {
  run("fails('kernel_size must be a whole number or a list of 2, got nothing', 3, 8)\n"
      "fails(\"kernel_size must be a whole number or a list of 2, got 'x'\", 3, 8, 'x')\n"
      "fails('kernel_size must be a whole number, got 1.5', 3, 8, 1.5)\n"
      "fails('entry 2 of kernel_size must be a whole number, got 1.5', 3, 8, {1, 1.5})\n"
      "fails('kernel_size has 3 entries (expected 2, or one number for all)', 3, 8, {1, 2, 3})\n"
      "fails('kernel_size has 0 entries', 3, 8, {})\n"
      "fails('kernel_size is 0 (expected at least 1)', 3, 8, {3, 0})\n"
      "fails('kernel_size is -1 (expected at least 1)', 3, 8, -1)\n"
      "fails('in_channels must be a whole number, got {3}', {3}, 8, 5)\n"
      "fails('stride is 0 (expected 1 to 1000)', 3, 8, 5, {stride = 0})\n"
      "fails('entry 2 of stride is 0 (expected 1 to 1000)', 3, 8, 5, {stride = {1, 0}})\n"
      "fails('entry 1 of stride must be a whole number, got true', 3, 8, 5, {stride = {true, 1}})\n"
      "fails(\"stride must be a whole number or a list of 2, got 'same'\", 3, 8, 5, {stride = 'same'})\n"
      "fails('padding is -1 (expected 0 to 1000)', 3, 8, 5, {padding = -1})\n"
      "fails('entry 1 of padding is -2 (expected 0 to 1000)', 3, 8, 5, {padding = {-2, 0}})\n"
      "fails(\"entry 1 of padding must be a whole number, got 'same'\", 3, 8, 5, {padding = {'same', 'same'}})\n"
      "fails(\"padding must be same, valid, a whole number or a list of 2, got 'smae': did you mean same?\",\n"
      "  3, 8, 5, {padding = 'smae'})\n"
      "fails('padding must be same, valid, a whole number or a list of 2, got true', 3, 8, 5, {padding = true})\n"
      "fails(\"slope must be auto, steep or a number, got 'stepe': did you mean steep?\", 3, 8, 5, {slope = 'stepe'})\n"
      "fails('slope must be auto, steep or a number, got {1}', 3, 8, 5, {slope = {1}})\n"
      "fails(\"mode must be one of zeros, reflect, got 'relfect': did you mean reflect?\", 3, 8, 5, {mode = "
      "'relfect'})\n"
      "fails('mode must be one of zeros, reflect, got 1', 3, 8, 5, {mode = 1})\n"
      "fails('unknown option paddding (known: stride, padding, mode, bias, slope, dtype): did you mean padding?',\n"
      "  3, 8, 5, {paddding = 1})\n"
      /* what was refused has taken nothing from the stream */
      "peri.manual_seed(1)  local x = peri.rand(2):totable()\n"
      "peri.manual_seed(1)  pcall(P, 3, 8, 5, {padding = 'smae'})  same(peri.rand(2):totable(), x)\n");
}

/* The list that help and the specs read. */
static void rows(void) {
  lua_State *L = open_state();
  bind_push_options(L, patches.options);
  lua_setglobal(L, "options");
  if (luaL_dostring(L, prelude) != LUA_OK ||
      luaL_dostring(L,
                    "local stride, padding, mode, bias, slope = table.unpack(options)\n"
                    "same(stride.count, 2)  same(stride.like, 'kernel_size')  assert(stride.default == nil)\n"
                    "same(padding.count, 2)  same(padding.default, {0, 0})  same(padding.choices, 'same valid')\n"
                    "same(mode.default, 'zeros')  same(bias.default, true)  assert(mode.count == nil)\n"
                    "same(padding.kind, 'integer')  same(mode.kind, 'choice')  same(bias.kind, 'boolean')\n"
                    "same(slope.kind, 'number')  same(slope.default, 'auto')  same(slope.doc, 'a number or a word')") !=
          LUA_OK)
    PERI_CHECK(0, "%s", lua_tostring(L, -1));
  lua_close(L);
}

/* Numbers that no reader has let through, as a file may hold them: texts, and no crash. */
static void words_that_are_not_there(void) {
  lua_State *L = open_state();
  const double wrong[] = {-3, -1e300, 7, 1e300, NAN};
  for (int i = 0; i < 5; i++) {
    bind_push_option(L, &patches.options[2], &wrong[i]);
    PERI_CHECK(lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "reflect") != 0, "%g as a choice",
               wrong[i]);
    lua_pop(L, 1);
  }
  for (int i = 0; i < 2; i++) {
    bind_push_option(L, &patches.options[4], &wrong[i]);
    PERI_CHECK(lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "steep") != 0, "%g as a word", wrong[i]);
    lua_pop(L, 1);
  }
  lua_close(L);
}

/* Lists whose numbers have defaults of their own, and lists of one to many. */
static const double two_defaults[] = {0.9, 0.999};
static const peri_option lists[] = {
    {"betas", PERI_OPTION_NUMBER, 0, 0, 1, NULL, "two numbers", 2, .defaults = two_defaults},
    {"steps", PERI_OPTION_INTEGER, NAN, 0, 1000, NULL, "one to three", 3, .open = true},
    {"rates", PERI_OPTION_NUMBER, 0.5, 0, 10, NULL, "one to three", 3, .open = true},
    {NULL}};

/* read{options}: betas, steps, rates and the text of what differs from the defaults */
static int read_lists(lua_State *L) {
  double values[8], defaults[8];
  bind_options(L, 1, "Lists", lists, NULL, values);
  lua_settop(L, 1);
  peri_option_defaults(lists, defaults);
  bind_push_option(L, &lists[0], values);
  bind_push_option(L, &lists[1], values + 2);
  bind_push_option(L, &lists[2], values + 5);
  lua_newtable(L);
  bind_add_option_texts(L, lists, defaults, values);
  bind_join(L, ", ");
  return 4;
}

static void open_lists(void) {
  lua_State *L = open_state();
  lua_pushcfunction(L, read_lists);
  lua_setglobal(L, "read");
  check_option_row("Lists", lists, 8);
  PERI_CHECK(peri_option_count(lists) == 8, "%d values", peri_option_count(lists));
  if (luaL_dostring(L, prelude) != LUA_OK ||
      luaL_dostring(L, "local function check(options, ...)\n"
                       "  for i, got in ipairs {read(options)} do same(got, (select(i, ...))) end\n"
                       "end\n"
                       "check({steps = 4}, {0.9, 0.999}, 4, 0.5, 'steps = 4')\n"
                       "check({steps = {4}, betas = 0.5}, {0.5, 0.5}, 4, 0.5, 'betas = 0.5, steps = 4')\n"
                       "check({steps = {4, 4}, rates = {1, 2, 3}}, {0.9, 0.999}, {4, 4}, {1.0, 2.0, 3.0},\n"
                       "  'steps = {4, 4}, rates = {1.0, 2.0, 3.0}')\n"
                       "check({steps = 4, rates = {0.5, 0.5}, betas = {0.9, 1}}, {0.9, 1.0}, 4, {0.5, 0.5},\n"
                       "  'betas = {0.9, 1.0}, steps = 4, rates = {0.5, 0.5}')\n"
                       "local function wrong(text, options)\n"
                       "  local ok, message = pcall(read, options)\n"
                       "  if ok or not message:find('Lists: ' .. text, 1, true) then error(tostring(message), 2) end\n"
                       "end\n"
                       "wrong('option steps is missing', {})\n"
                       "wrong('steps has 4 entries (expected 1 to 3)', {steps = {1, 2, 3, 4}})\n"
                       "wrong('steps has 0 entries (expected 1 to 3)', {steps = {}})\n"
                       "wrong('steps must be a whole number or a list of up to 3, got true', {steps = true})\n"
                       "wrong('entry 2 of steps is -1 (expected 0 to 1000)', {steps = {1, -1}})\n"
                       "wrong('entry 2 of rates is nan', {steps = 1, rates = {1, 0/0}})") != LUA_OK)
    PERI_CHECK(0, "%s", lua_tostring(L, -1));
  bind_push_options(L, lists);
  lua_setglobal(L, "options");
  if (luaL_dostring(L, "same(options[1].default, {0.9, 0.999})  assert(options[2].default == nil)\n"
                       "same(options[3].default, 0.5)  same(options[3].count, 3)") != LUA_OK)
    PERI_CHECK(0, "%s", lua_tostring(L, -1));
  lua_close(L);
}

static void machines(void) {
  const estimator_type *const types[] = {&peri_bind_svc,        &peri_bind_nu_svc,    &peri_bind_svr,
                                         &peri_bind_nu_svr,     &peri_bind_one_class, &peri_bind_linear_svc,
                                         &peri_bind_linear_svr, &peri_bind_logistic};
  for (size_t i = 0; i < PERI_COUNT(types); i++)
    check_option_row(types[i]->row->name, types[i]->row->options, PERI_MAX_OPTIONS);
  check_option_row(patches.name, patches.options, PERI_LAYER_VALUES);
}

PERI_TEST_MAIN(PERI_TEST(machines), PERI_TEST(values), PERI_TEST(texts), PERI_TEST(refused), PERI_TEST(rows),
               PERI_TEST(words_that_are_not_there), PERI_TEST(open_lists))
