/* Handles of tensors, and how the collector learns what they hold.
 *
 * Lua sees a tensor as a pointer. When the bytes held by tensors have grown by half of all that lives (or come near the
 * budget), or so many handles were made, the collector finds those that nobody needs. It walks what lives in Lua: where
 * that is little, all of it at once, so that results take the memory of those before them, which is in cache. Where it
 * is much, in steps, each for a share of those bytes or for so many handles, so that no pause is as long as a whole
 * walk: of an incremental collector some are a cycle, of a generational one each looks at what is young. */
#include "bind.h"

/* Garbage in tensors below this is left to Lua's own pace. */
#define COLLECT_FLOOR ((size_t)8 << 20)
/* Bytes in Lua up to which a whole walk is short: 0.3 ms for each MB. */
#define SMALL_HEAP ((size_t)2 << 20)
#define STEPS      64 /* in a cycle, if it has as many as 50 MB of small tables */
#define YOUNG      8 /* of a generational collector where most of what is made lives on: each finds all that is young */
/* A cycle of an incremental collector costs as much as a whole walk, which is why it begins only when there are as many
 * handles more as there are so many bytes in Lua. Once begun, Lua goes on with it by itself too. */
#define BYTES_PER_HANDLE 128

static const char handles_key, probe_key;

/* An empty weak table for n known handles. */
static void push_known_table(lua_State *L, int n) {
  lua_createtable(L, 0, n);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void bind_open_handles(lua_State *L, bind_state *S) {
  S->charge_at = S->full_at = COLLECT_FLOOR;
  S->slice = COLLECT_FLOOR / STEPS;
  S->handles_at = S->known_at = BIND_HANDLES;
  S->slice = COLLECT_FLOOR / STEPS; /* or the first cycle would be one pause */
  push_known_table(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &handles_key);
}

/* ---- the collector ---- */

static void set_next(bind_state *S, size_t more, unsigned handles) {
  S->stepped_at = S->context->in_use;
  S->charge_at = S->stepped_at + more;
  S->handles = 0;
  S->handles_at = handles;
}

static void set_charge(lua_State *L, bind_state *S) {
  size_t live = S->context->in_use, lua = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024;
  size_t limit = S->context->limit - S->context->claimed;
  size_t half = (live + lua) / 2, slack = half < 8 * lua ? half : 8 * lua;
  if (slack < COLLECT_FLOOR) slack = COLLECT_FLOOR;
  size_t reserve = limit - limit / 8;
  S->full_at = live + slack;
  if (S->full_at > reserve) S->full_at = live < reserve ? reserve : live + limit / 64;
  S->slice = (S->full_at - live) / STEPS;
  bool at_once = lua <= SMALL_HEAP || S->young;
  size_t handles = at_once ? BIND_HANDLES : BIND_HANDLES + lua / BYTES_PER_HANDLE;
  set_next(S, lua <= SMALL_HEAP ? S->full_at - live : S->young ? S->slice : (S->full_at - live) / 2, (unsigned)handles);
}

static int collect_probe(lua_State *L) {
  bind_state *S = lua_touserdata(L, lua_upvalueindex(1));
  S->probed = true;
  return 0;
}

/* Makes an object that nobody needs. */
static void make_probe(lua_State *L, bind_state *S) {
  lua_newuserdatauv(L, 0, 0);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &probe_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushlightuserdata(L, S);
    lua_pushcclosure(L, collect_probe, 1);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &probe_key);
  }
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  S->probed = false;
}

/* As many steps as bytes were made for. True when that was the last of a cycle. A step of a generational collector is
 * all that there is to be done: it finds what was made just before. */
static bool step(lua_State *L, bind_state *S) {
  size_t before = S->context->in_use, grown = before > S->stepped_at ? before - S->stepped_at : 0;
  size_t n = 1 + grown / (S->slice + 1);
  bool ended = false;
  S->young = false;
  make_probe(L, S);
  for (size_t i = 0; i < n && !ended && !S->young && !(i == 1 && S->probed); i++) {
    ended = lua_gc(L, LUA_GCSTEP, 0);
    S->young = grown > 0 && S->context->in_use < before - grown / 2; /* has gone */
  }
  return ended;
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
  bool short_of_memory = peri_memory_in_use(S->context) > S->context->limit - S->context->limit / 8;
  bool running = lua_gc(L, LUA_GCISRUNNING) != 0;
  bool whole = S->context->in_use > S->full_at || (size_t)lua_gc(L, LUA_GCCOUNT) <= SMALL_HEAP / 1024;
  if (running && !whole && !short_of_memory && !step(L, S)) {
    set_next(S, S->probed && !S->young ? STEPS / YOUNG * S->slice : S->slice, BIND_HANDLES);
    return;
  }
  if (short_of_memory || (running && whole)) lua_gc(L, LUA_GCCOLLECT);
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
  peri_tensor *x = bind_check_source(L, S, index, operation, name);
  if (x->storage->barred) bind_error(L, operation, PERI_SOURCE_TEXT, name, peri_dtype_name(x->layout.dtype), name);
  return x;
}

peri_tensor *bind_check_source(lua_State *L, bind_state *S, int index, const char *operation, const char *name) {
  peri_tensor *x = bind_to_tensor(L, S, index);
  if (x != NULL && x->storage->barred == PERI_REVOKED) bind_error(L, operation, PERI_REVOKED_TEXT, name);
  if (x != NULL) return x;
  if (bind_is_released(L, S, index)) bind_error(L, operation, "%s is a released tensor", name);
  bind_error(L, operation, "%s must be a tensor, got %s", name, bind_describe(L, index));
  return NULL;
}
