/* Handles of tensors, and how the collector learns what they hold.
 *
 * Lua sees a tensor as a pointer. When the bytes held by tensors have grown by half of all that
 * lives (or come near the budget), a full collection finds those that nobody needs. It walks what lives in Lua alone:
 * beside little of that it comes sooner, so that results take the memory of those before them, which is in cache. */
#include "bind.h"

/* Garbage in tensors below this is left to Lua's own pace. */
#define COLLECT_FLOOR ((size_t)8 << 20)

static const char handles_key;

/* An empty weak table for n known handles. */
static void push_known_table(lua_State *L, int n) {
  lua_createtable(L, 0, n);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void bind_open_handles(lua_State *L, bind_state *S) {
  S->charge_at = COLLECT_FLOOR;
  S->handles_at = S->known_at = BIND_HANDLES;
  push_known_table(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &handles_key);
}

/* ---- the collector ---- */

static void set_charge(lua_State *L, bind_state *S) {
  size_t live = S->context->in_use, lua = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024, limit = S->context->limit;
  size_t half = (live + lua) / 2, slack = half < 8 * lua ? half : 8 * lua;
  if (slack < COLLECT_FLOOR) slack = COLLECT_FLOOR;
  size_t reserve = limit - limit / 8;
  S->charge_at = live + slack;
  S->handles = 0;
  S->handles_at = (unsigned)(lua / BIND_BYTES_PER_HANDLE > BIND_HANDLES ? lua / BIND_BYTES_PER_HANDLE : BIND_HANDLES);
  if (S->charge_at > reserve) S->charge_at = live < reserve ? reserve : live + limit / 64;
}

static int count_entries(lua_State *L, int table) {
  int n = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) n++;
  return n;
}

/* A table of Lua's never gives room back, and each collection walks all of it: the known handles move to one that is
 * no larger than they need. While they do, the collector rests, since finalisers may ask for handles. */
static void shrink_known(lua_State *L, bind_state *S) {
  bool running = lua_gc(L, LUA_GCISRUNNING) != 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &handles_key);
  int old = lua_gettop(L), room = count_entries(L, old);
  push_known_table(L, room);
  if (running) lua_gc(L, LUA_GCSTOP);
  if (count_entries(L, old) <= room) {
    for (lua_pushnil(L); lua_next(L, old) != 0;) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, old + 1);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handles_key);
    S->known = 0;
    S->known_at = (unsigned)room > BIND_HANDLES ? (unsigned)room : BIND_HANDLES;
  }
  if (running) lua_gc(L, LUA_GCRESTART);
  lua_settop(L, old - 1);
}

void bind_collect(lua_State *L, bind_state *S) {
  if (bind_in_finaliser(L)) return; /* the collector is at work and counts nothing */
  bind_sweep_hooks(L, S);
  bool short_of_memory = S->context->in_use > S->context->limit - S->context->limit / 8;
  if (short_of_memory || lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCCOLLECT);
  if (S->known > S->known_at && !short_of_memory) shrink_known(L, S);
  set_charge(L, S);
}

/* ---- handles ---- */

/* While a finaliser runs, the collector takes no commands (5.4.4), or is stopped. */
bool bind_in_finaliser(lua_State *L) {
#if LUA_VERSION_RELEASE_NUM >= 50404
  return lua_gc(L, LUA_GCCOUNT) < 0;
#else
  return !lua_gc(L, LUA_GCISRUNNING);
#endif
}

const char bind_handle_mark = 0;

peri_tensor **bind_new_tensor(lua_State *L, bind_state *S) {
  bind_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (bind_handle){.mark = &bind_handle_mark};
  S->handles++;
  lua_rawgetp(L, LUA_REGISTRYINDEX, S->meta[BIND_TENSOR]);
  lua_setmetatable(L, -2);
  return &handle->tensor;
}

/* Handles of tensors that scripts may use as keys stand in a weak table under their address. */
static bool push_known_handle(lua_State *L, const peri_tensor *tensor) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &handles_key);
  lua_rawgetp(L, -1, tensor);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

void bind_register_handle(lua_State *L, bind_state *S, int index) {
  peri_tensor **handle = lua_touserdata(L, index);
  index = lua_absindex(L, index);
  S->known++;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &handles_key);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, *handle);
  lua_pop(L, 1);
  (*handle)->known = true;
}

void bind_push_tensor(lua_State *L, bind_state *S, peri_tensor *const *place) {
  bool known = (*place)->known;
  if (known && push_known_handle(L, *place)) return;
  peri_tensor **handle = bind_new_tensor(L, S);
  peri_tensor *tensor = *place; /* a finaliser may have put another there, or none, or have asked for the handle */
  if (tensor == NULL || (tensor->known && push_known_handle(L, tensor))) {
    if (tensor == NULL) lua_pushnil(L);
    lua_remove(L, -2);
    return;
  }
  *handle = peri_tensor_retain(tensor);
  if (known || tensor->known || (tensor->requires_grad && tensor->node == NULL)) bind_register_handle(L, S, -1);
}

peri_tensor **bind_to_handle(lua_State *L, bind_state *S, int index) {
  bind_handle *handle = lua_touserdata(L, index);
  (void)S;
  if (handle == NULL || lua_rawlen(L, index) != sizeof *handle || handle->mark != &bind_handle_mark) return NULL;
  return &handle->tensor;
}

peri_tensor *bind_to_tensor(lua_State *L, bind_state *S, int index) {
  peri_tensor **handle = bind_to_handle(L, S, index);
  return handle != NULL ? *handle : NULL;
}

/* A tensor handle that was released, as opposed to no tensor at all. */
bool bind_is_released(lua_State *L, bind_state *S, int index) {
  peri_tensor **handle = bind_to_handle(L, S, index);
  return handle != NULL && *handle == NULL;
}

peri_tensor *bind_check_tensor(lua_State *L, bind_state *S, int index, const char *operation, const char *name) {
  peri_tensor *x = bind_to_tensor(L, S, index);
  if (x != NULL && x->storage->revoked)
    bind_error(L, operation, "the memory of %s was lent, and has been taken back", name);
  if (x != NULL) return x;
  if (bind_is_released(L, S, index)) bind_error(L, operation, "%s is a released tensor", name);
  bind_error(L, operation, "%s must be a tensor, got %s", name, bind_describe(L, index));
  return NULL;
}
