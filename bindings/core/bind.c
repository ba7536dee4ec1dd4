/* The state that belongs to one Lua state; handles, errors, options, the collector's charge. */
#include "bind.h"
#include "names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Garbage in tensors below this is left to Lua's own pace. */
#define COLLECT_FLOOR ((size_t)8 << 20)

static const char state_key, handles_key, documents_key, collected_key, parts_key;

/* ---- the state ---- */

/* Finalisers of objects older than the module run after this one and may call the module: they find a
 * context in which nothing can be made. */
static int close_state(lua_State *L) {
  bind_state *S = lua_touserdata(L, 1);
  if (S->context == NULL || S->context == &S->closed) return 0;
  S->closed = (peri_context){.kernels = S->context->kernels, .threads = 1, .references = 1, .fail_after = -1};
  peri_context_release(&S->context);
  S->context = &S->closed;
  return 0;
}

static bind_state *find_state(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  bind_state *S = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return S;
}

static int use_collected(lua_State *L) {
  return bind_error(L, NULL,
                    "the object was collected: it became garbage together with what uses it in a finaliser (keep it "
                    "alive elsewhere, or use it before)");
}

static int collected_text(lua_State *L) {
  lua_pushliteral(L, "collected object");
  return 1;
}

static void push_collected_class(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__index", use_collected},     {"__newindex", use_collected},
                                         {"__call", use_collected},      {"__len", use_collected},
                                         {"__pairs", use_collected},     {"__close", use_collected},
                                         {"__tostring", collected_text}, {NULL, NULL}};
  lua_newtable(L);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushliteral(L, "collected object");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

/* The registry learns of the state last: where memory ran out on the way, the next call begins anew. */
bind_state *bind_open(lua_State *L, const peri_options *options) {
  bind_state *S = find_state(L);
  if (S != NULL) return S;
  S = lua_newuserdatauv(L, sizeof *S, 0);
  *S = (bind_state){.context = NULL};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_state);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (peri_context_new(options, &S->context) != PERI_OK) luaL_error(L, "perilune: out of memory");
  S->charge_at = COLLECT_FLOOR;
  S->handles_at = BIND_HANDLES;
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &handles_key);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &documents_key);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &parts_key);
  push_collected_class(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &collected_key);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  return S;
}

peri_context *peri_lua_context(lua_State *L) { return bind_open(L, NULL)->context; }

void bind_push_function(lua_State *L, bind_state *S, lua_CFunction function, int n) {
  lua_pushlightuserdata(L, S);
  lua_insert(L, -n - 1);
  lua_pushcclosure(L, function, n + 1);
}

void bind_set_functions(lua_State *L, bind_state *S, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    bind_push_function(L, S, list->func, 0);
    lua_setfield(L, -2, list->name);
  }
}

void bind_push_internal(lua_State *L) { luaL_getsubtable(L, LUA_REGISTRYINDEX, "perilune.internal"); }

/* The place in the list on top of the stack of the class of that name: its own when the module is opened once more. */
static lua_Integer class_place(lua_State *L, const char *name) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1), place = 1;
  for (bool found = false; place <= n && !found; place += !found) {
    lua_rawgeti(L, -1, place);
    lua_getfield(L, -1, "name");
    found = strcmp(lua_tostring(L, -1), name) == 0;
    lua_pop(L, 2);
  }
  return place;
}

void bind_set_class(lua_State *L, const char *name, const char *title, int index) {
  index = lua_absindex(L, index);
  bind_push_internal(L);
  luaL_getsubtable(L, -1, "classes");
  lua_pushvalue(L, index);
  lua_setfield(L, -2, name);
  luaL_getsubtable(L, -2, "class_list");
  lua_Integer place = class_place(L, name);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, index);
  lua_setfield(L, -2, "methods");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, title);
  lua_setfield(L, -2, "title");
  lua_rawseti(L, -2, place);
  lua_pop(L, 3);
}

void bind_set_part(lua_State *L, int index, const char *name) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &parts_key);
  lua_pushvalue(L, index);
  lua_pushstring(L, name);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void bind_push_part_name(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &parts_key);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

void bind_set_internal(lua_State *L, bind_state *S, const char *name, const luaL_Reg *list) {
  bind_push_internal(L);
  lua_newtable(L);
  bind_set_functions(L, S, list);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void bind_document(lua_State *L, const char *doc) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &documents_key);
  lua_pushvalue(L, -2);
  lua_pushlightuserdata(L, (void *)(uintptr_t)doc);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void bind_document_value(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &documents_key);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, index);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* C's texts are kept as addresses, so that opening the module makes no strings of them. */
void bind_push_document(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &documents_key);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_islightuserdata(L, -1)) {
    const char *doc = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lua_pushstring(L, doc);
  }
}

void bind_set_documented(lua_State *L, bind_state *S, const bind_function *list) {
  for (; list->name != NULL; list++) {
    bind_push_function(L, S, list->function, 0);
    bind_document(L, list->doc);
    lua_setfield(L, -2, list->name);
  }
}

void bind_add_functions(lua_State *L, bind_state *S, int index, const bind_function *list) {
  lua_pushvalue(L, index);
  bind_set_documented(L, S, list);
  lua_pop(L, 1);
}

/* ---- classes ---- */

void bind_push_member(lua_State *L, bind_state *S, const void *owner, lua_CFunction function, int n) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)owner);
  lua_insert(L, -n - 1);
  bind_push_function(L, S, function, n + 1);
}

void bind_set_member(lua_State *L, bind_state *S, const void *owner, const char *name, lua_CFunction function,
                     const char *doc) {
  bind_push_member(L, S, owner, function, 0);
  if (doc != NULL) bind_document(L, doc);
  lua_setfield(L, -2, name);
}

/* The __gc of every class; upvalue 1 is the bind_class, 2 its metatable: what is of another class, or was collected, is
 * left alone, as debug lets a script call this with anything. */
static int collect_object(lua_State *L) {
  const bind_class *class = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(2))) return 0;
  class->collect(lua_touserdata(L, 1));
  lua_rawgetp(L, LUA_REGISTRYINDEX, &collected_key);
  lua_setmetatable(L, 1);
  return 0;
}

void bind_open_class(lua_State *L, bind_state *S, const bind_class *class, int parent) {
  lua_newtable(L);
  int methods = lua_gettop(L), meta = methods + 1;
  for (const bind_function *m = class->methods; m != NULL && m->name != NULL; m++)
    bind_set_member(L, S, class->owner, m->name, m->function, m->doc);
  if (parent != 0) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, parent);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, methods);
  }
  lua_newtable(L);
  for (const luaL_Reg *m = class->metamethods; m->name != NULL; m++) {
    lua_pushvalue(L, methods);
    bind_push_member(L, S, class->owner, m->func, 1);
    lua_setfield(L, meta, m->name);
  }
  if (class->collect != NULL) {
    bind_class *kept = lua_newuserdatauv(L, sizeof *kept, 0);
    *kept = *class;
    lua_pushvalue(L, meta);
    lua_pushcclosure(L, collect_object, 2);
    lua_setfield(L, meta, "__gc");
  }
  lua_pushstring(L, class->name);
  lua_setfield(L, meta, "__name");
  lua_pushboolean(L, 0); /* scripts cannot call a metamethod on something else */
  lua_setfield(L, meta, "__metatable");
  const void *key = lua_topointer(L, meta);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  S->meta[class->kind] = key;
  S->called[class->kind] = class->called;
}

void *bind_push_object(lua_State *L, bind_state *S, bind_kind kind, size_t size, int values) {
  void *object = lua_newuserdatauv(L, size, values);
  memset(object, 0, size);
  lua_rawgetp(L, LUA_REGISTRYINDEX, S->meta[kind]);
  lua_setmetatable(L, -2);
  return object;
}

bool bind_is(lua_State *L, const bind_state *S, int index, bind_kind kind) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
  bool is = lua_topointer(L, -1) == S->meta[kind];
  lua_pop(L, 1);
  return is;
}

bind_kind bind_kind_of(lua_State *L, const bind_state *S, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return BIND_NONE;
  const void *meta = lua_topointer(L, -1);
  lua_pop(L, 1);
  int kind = BIND_KINDS - 1;
  while (kind > BIND_NONE && S->meta[kind] != meta) kind--;
  return (bind_kind)kind;
}

void *bind_push_box(lua_State *L, size_t size, lua_CFunction collect) {
  void *box = lua_newuserdatauv(L, size, 0);
  memset(box, 0, size);
  const void *key = (const void *)(uintptr_t)collect;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  }
  lua_setmetatable(L, -2);
  return box;
}

/* ---- errors ---- */

/* Pushes "script:line: " of the nearest Lua code that is not the module's own, and gives the level of what that has
 * called; without such code -1. */
static int push_position(lua_State *L) {
  lua_Debug frame;
  for (int level = 1; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline > 0 && strncmp(frame.source, "=perilune/", 10) != 0) {
      lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
      return level - 1;
    }
  }
  lua_pushliteral(L, "");
  return -1;
}

/* When the script has called the function of that level as a method of a part of the module, which it then took for its
 * first argument: pushes what to write, in place of any other complaint. */
static bool push_colon_mistake(lua_State *L, int level) {
  lua_Debug called;
  int top = lua_gettop(L);
  if (level < 0 || !lua_getstack(L, level, &called) || !lua_getinfo(L, "n", &called)) return false;
  if (strcmp(called.namewhat, "method") != 0 || lua_getlocal(L, &called, 1) == NULL) return false;
  bind_push_part_name(L, -1);
  bool part = lua_type(L, -1) == LUA_TSTRING;
  if (part) {
    lua_pushfstring(L, "%s: called with a colon (write %s.%s(..), with a dot)", called.name, lua_tostring(L, -1),
                    called.name);
    lua_replace(L, top + 1);
  }
  lua_settop(L, top + part);
  return part;
}

/* In the program this error is how Ctrl-C arrives; it is not to arrive once more through the program's hook. */
static void deliver_interrupt(lua_State *L, bind_state *S) {
  if (!atomic_load(&S->context->cancelled) || strcmp(peri_message(S->context), "interrupted") != 0) return;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.interrupt_delivered") == LUA_TFUNCTION)
    lua_call(L, 0, 0);
  else
    lua_pop(L, 1);
}

int bind_raise(lua_State *L, bind_state *S) {
  deliver_interrupt(L, S);
  push_position(L);
  lua_pushstring(L, peri_message(S->context));
  lua_concat(L, 2);
  return lua_error(L);
}

int bind_error(lua_State *L, const char *operation, const char *format, ...) {
  va_list arguments;
  int top = lua_gettop(L), called = push_position(L);
  if (!push_colon_mistake(L, called)) {
    lua_pushfstring(L, operation == NULL ? "" : "%s: ", operation);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
  }
  lua_concat(L, lua_gettop(L) - top);
  if (strstr(lua_tostring(L, -1), " -nan") != NULL) luaL_gsub(L, lua_tostring(L, -1), " -nan", " nan");
  return lua_error(L);
}

bool bind_retry(lua_State *L, peri_status status) {
  if (status != PERI_ERR_MEMORY) return false;
  lua_gc(L, LUA_GCCOLLECT);
  return true;
}

/* "a Linear", "an Adam", "an SGD" */
static const char *with_article(lua_State *L, const char *name) {
  bool letters = name[0] != '\0' && (name[1] == '\0' || (name[1] >= 'A' && name[1] <= 'Z')); /* said one by one */
  bool an = *name != '\0' && strchr(letters ? "AEFHILMNORSX" : "AEIOaeiou", *name) != NULL;
  return lua_pushfstring(L, "%s %s", an ? "an" : "a", name);
}

/* An object by its class: its own name for it, else the last word of __name, or of the Lua type. */
static const char *describe_object(lua_State *L, bind_state *S, int index) {
  bind_kind kind = bind_kind_of(L, S, index);
  if (kind != BIND_NONE && S->called[kind] != NULL) return with_article(L, S->called[kind](L, index));
  if (luaL_getmetafield(L, index, "__name") != LUA_TSTRING) return lua_pushfstring(L, "a %s", luaL_typename(L, index));
  const char *name = lua_tostring(L, -1);
  if (strncmp(name, "perilune.", 9) != 0) return lua_pushfstring(L, "a %s", name);
  return with_article(L, strrchr(name, '.') + 1);
}

const char *bind_describe(lua_State *L, int index) {
  bind_state *S = find_state(L);
  const peri_tensor *x = bind_to_tensor(L, S, index);
  char text[PERI_SHAPE_TEXT];
  if (x != NULL) {
    return lua_pushfstring(L, "a tensor %s of %s", peri_dtype_name(x->layout.dtype),
                           peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
  switch (lua_type(L, index)) {
  case LUA_TNONE:
    return "nothing";
  case LUA_TNIL:
    return "nil";
  case LUA_TBOOLEAN:
    return lua_toboolean(L, index) ? "true" : "false";
  case LUA_TNUMBER:
    if (isnan(lua_tonumber(L, index))) return "nan";
    return lua_isinteger(L, index) ? lua_pushfstring(L, "%I", lua_tointeger(L, index))
                                   : lua_pushfstring(L, "%f", lua_tonumber(L, index));
  case LUA_TSTRING:
    return lua_pushfstring(L, "'%s'", lua_tostring(L, index));
  default:
    if (bind_is_released(L, S, index)) return "a released tensor";
    return describe_object(L, S, lua_absindex(L, index));
  }
}

/* ---- the collector ----
 * Lua sees a tensor as a pointer. When the bytes held by tensors have grown by half of all that
 * lives (or come near the budget), a full collection finds those that nobody needs. */

static void set_charge(lua_State *L, bind_state *S) {
  size_t live = S->context->in_use, lua = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024, limit = S->context->limit;
  size_t slack = (live + lua) / 2 > COLLECT_FLOOR ? (live + lua) / 2 : COLLECT_FLOOR;
  size_t reserve = limit - limit / 8;
  S->charge_at = live + slack;
  S->handles = 0;
  S->handles_at = (unsigned)(lua / BIND_BYTES_PER_HANDLE > BIND_HANDLES ? lua / BIND_BYTES_PER_HANDLE : BIND_HANDLES);
  if (S->charge_at > reserve) S->charge_at = live < reserve ? reserve : live + limit / 64;
}

void bind_collect(lua_State *L, bind_state *S) {
  if (bind_in_finaliser(L)) return; /* the collector is at work and counts nothing */
  bool short_of_memory = S->context->in_use > S->context->limit - S->context->limit / 8;
  if (short_of_memory || lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCCOLLECT);
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
  (void)S;
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
  if (handle == NULL || !lua_getmetatable(L, index)) return NULL;
  bool ours = lua_topointer(L, -1) == S->meta[BIND_TENSOR];
  lua_pop(L, 1);
  return ours ? &handle->tensor : NULL;
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
  if (x != NULL) return x;
  if (bind_is_released(L, S, index)) bind_error(L, operation, "%s is a released tensor", name);
  bind_error(L, operation, "%s must be a tensor, got %s", name, bind_describe(L, index));
  return NULL;
}

const char *bind_check_path(lua_State *L, int index, const char *operation) {
  if (lua_type(L, index) != LUA_TSTRING)
    bind_error(L, operation, "path must be a string, got %s", bind_describe(L, index));
  const char *path = lua_tostring(L, index);
  if (strlen(path) != lua_rawlen(L, index)) bind_error(L, operation, "path holds a zero byte");
  return path;
}

peri_dtype bind_check_dtype(lua_State *L, int index, const char *operation) {
  index = lua_absindex(L, index);
  for (int d = 0; lua_type(L, index) == LUA_TSTRING && d < PERI_DTYPES; d++) {
    if (strcmp(lua_tostring(L, index), peri_dtype_name((peri_dtype)d)) == 0) return (peri_dtype)d;
  }
  const char *meant = bind_push_meant(L, "float32 float64 int64 uint8 bool", index);
  bind_error(L, operation, "dtype must be one of float32, float64, int64, uint8, bool, got %s%s",
             bind_describe(L, index), meant);
  return PERI_FLOAT32;
}
