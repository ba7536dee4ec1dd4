/* Streams of random numbers that a script holds (peri.Generator), and the state of the default one. A state is two
 * whole numbers, the seed and the next block of its stream, as an int64 tensor, which peri.save takes. */
#include "rows.h"
#include "names.h"

#include <unistd.h>

/* ---- states ---- */

/* Pushes the state of the stream at a place that no finaliser moves. */
static void push_state(lua_State *L, bind_state *S, const peri_stream *stream) {
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_new(S->context, PERI_INT64, 1, (int64_t[]){2}, handle));
  memcpy((*handle)->data, (uint64_t[]){stream->seed, stream->block}, 2 * sizeof(uint64_t));
  bind_charge(L, S);
}

static peri_stream check_state(lua_State *L, bind_state *S, int index, const char *operation) {
  const peri_tensor *state = bind_check_tensor(L, S, index, operation, "state");
  peri_refuse_replay(S->context, "%s sets a stream of random numbers", operation);
  const peri_layout *layout = &state->layout;
  char text[PERI_SHAPE_TEXT];
  if (layout->dtype != PERI_INT64 || layout->ndim != 1 || layout->shape[0] != 2)
    bind_error(L, operation, "state is a tensor %s %s (expected int64 2, as get_state gives it)",
               peri_dtype_name(layout->dtype), peri_shape_text(layout->ndim, layout->shape, text));
  const int64_t *numbers = (const int64_t *)(const void *)state->data;
  return (peri_stream){.seed = (uint64_t)numbers[0], .block = (uint64_t)numbers[layout->strides[0]]};
}

/* ---- generators ---- */

peri_stream *bind_to_generator(lua_State *L, const bind_state *S, int index) {
  return bind_is(L, S, index, BIND_GENERATOR) ? lua_touserdata(L, index) : NULL;
}

static peri_stream *self(lua_State *L, const char *method) {
  peri_stream *stream = bind_to_generator(L, bind_here(L), 1);
  if (stream == NULL) bind_error(L, method, "called with %s (expected g:%s(...))", bind_describe(L, 1), method);
  return stream;
}

void bind_push_generator(lua_State *L, bind_state *S, peri_stream stream) {
  peri_stream *made = bind_push_object(L, S, BIND_GENERATOR, sizeof *made, 0);
  *made = stream;
}

/* peri.Generator(seed = 0) */
static int new_generator(lua_State *L) {
  lua_Integer seed = lua_isnoneornil(L, 1) ? 0 : bind_check_whole(L, 1, "Generator", "seed", LUA_MININTEGER);
  bind_push_generator(L, bind_here(L), (peri_stream){.seed = (uint64_t)seed});
  return 1;
}

static int manual_seed(lua_State *L) {
  peri_stream *stream = self(L, "manual_seed");
  peri_refuse_replay(bind_here(L)->context, "manual_seed sets a stream of random numbers");
  *stream = (peri_stream){.seed = (uint64_t)bind_check_whole(L, 2, "manual_seed", "seed", LUA_MININTEGER)};
  lua_settop(L, 1);
  return 1;
}

static int seed(lua_State *L) {
  peri_stream *stream = self(L, "seed"), fresh = {.seed = 0};
  if (getentropy(&fresh.seed, sizeof fresh.seed) != 0)
    return bind_error(L, "seed", "the system gives no random bytes (use g:manual_seed(seed))");
  *stream = fresh;
  lua_pushinteger(L, (lua_Integer)fresh.seed);
  return 1;
}

static int initial_seed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)self(L, "initial_seed")->seed);
  return 1;
}

static int get_state(lua_State *L) {
  push_state(L, bind_here(L), self(L, "get_state"));
  return 1;
}

static int set_state(lua_State *L) {
  peri_stream *stream = self(L, "set_state");
  *stream = check_state(L, bind_here(L), 2, "set_state");
  lua_settop(L, 1);
  return 1;
}

static int clone(lua_State *L) {
  const peri_stream *stream = self(L, "clone");
  bind_push_generator(L, bind_here(L), *stream);
  return 1;
}

static int to_string(lua_State *L) {
  lua_pushfstring(L, "generator of seed %I", (lua_Integer)self(L, "tostring")->seed);
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
  return bind_no_field(L, "generator", bind_describe(L, 2), &guess);
}

/* ---- the default stream ---- */

static int get_rng_state(lua_State *L) {
  bind_state *S = bind_here(L);
  push_state(L, S, &S->context->stream);
  return 1;
}

static int set_rng_state(lua_State *L) {
  bind_state *S = bind_here(L);
  S->context->stream = check_state(L, S, 1, "set_rng_state");
  return 0;
}

static int default_seed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)bind_here(L)->context->stream.seed);
  return 1;
}

/* ---- registration ---- */

static const bind_function methods[] = {
    {"manual_seed", manual_seed, "g:manual_seed(seed) -> g\nStarts the stream anew from a whole number."},
    {"seed", seed,
     "g:seed() -> integer\nStarts the stream anew from a seed that the system's randomness gives, and returns it."},
    {"initial_seed", initial_seed, "g:initial_seed() -> integer\nThe seed that the stream was last started from."},
    {"get_state", get_state,
     "g:get_state() -> int64 tensor of 2\nWhere the stream stands: what g:set_state takes and peri.save stores."},
    {"set_state", set_state, "g:set_state(state) -> g\nContinues where a stream stood when get_state gave the state."},
    {"clone", clone, "g:clone() -> generator\nAnother generator that stands at the same place and draws the same."},
    BIND_HAS("g"),
    {NULL, NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__index", field}, {"__tostring", to_string}, {NULL, NULL}};
static const bind_class generator_class = {
    .kind = BIND_GENERATOR, .name = "perilune.Generator", .methods = methods, .metamethods = metamethods};

static const bind_function functions[] = {
    {"Generator", new_generator,
     "Generator(seed = 0) -> generator\n"
     "A stream of random numbers of its own: random operations draw from it with the option generator, as in "
     "peri.randn(3, {generator = g}), and leave the default stream (peri.manual_seed) alone. Philox4x32-10 (Salmon et "
     "al. 2011); generators of different seeds are independent. Methods: manual_seed, seed, initial_seed, get_state, "
     "set_state, clone."},
    {"get_rng_state", get_rng_state,
     "get_rng_state() -> int64 tensor of 2\n"
     "Where the default stream stands, for set_rng_state: kept in a checkpoint it lets a run go on with the draws that "
     "would have come."},
    {"set_rng_state", set_rng_state,
     "set_rng_state(state)\nContinues the default stream where get_rng_state was called."},
    {"initial_seed", default_seed,
     "initial_seed() -> integer\nThe seed that the default stream was last started from; 0 before peri.manual_seed."},
    {NULL, NULL, NULL}};

void bind_open_generator(lua_State *L, bind_state *S, int module) {
  bind_open_class(L, S, &generator_class, 0);
  bind_set_class(L, "generator", "Methods of generators", -1);
  lua_pop(L, 1);
  bind_add_functions(L, S, module, functions);
}
