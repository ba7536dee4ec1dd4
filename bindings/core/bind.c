/* The state that belongs to one Lua state; handles, errors, options, the collector's charge. */
#include "bind.h"
#include "names.h"

#include <float.h>
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

void bind_set_class(lua_State *L, const char *name, int index) {
  index = lua_absindex(L, index);
  bind_push_internal(L);
  luaL_getsubtable(L, -1, "classes");
  lua_pushvalue(L, index);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
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

#define LONGEST_TEXT  80 /* bytes of a string that a message shows */
#define LONGEST_SHOWN 4  /* numbers of a list */

/* 'a string' without control characters, cut between characters of UTF-8. */
static const char *describe_string(lua_State *L, int index) {
  size_t length;
  const char *text = lua_tolstring(L, index, &length);
  size_t shown = length < LONGEST_TEXT ? length : LONGEST_TEXT;
  while (shown < length && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) shown--;
  char clean[LONGEST_TEXT + 1];
  for (size_t i = 0; i < shown; i++) clean[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
  clean[shown] = '\0';
  return lua_pushfstring(L, "'%s%s'", clean, shown < length ? ".." : "");
}

static const char *describe_number(lua_State *L, int index) {
  if (isnan(lua_tonumber(L, index))) return lua_pushliteral(L, "nan");
  if (lua_isinteger(L, index)) return lua_pushfstring(L, "%I", lua_tointeger(L, index));
  return lua_pushfstring(L, "%f", lua_tonumber(L, index));
}

/* "{1, 2}" of a plain list of a few numbers, else "a table". */
static const char *describe_table(lua_State *L, int index) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  bool list = n >= 1 && n <= LONGEST_SHOWN;
  for (lua_Integer i = 1; list && i <= n; i++, lua_pop(L, 1)) list = lua_rawgeti(L, index, i) == LUA_TNUMBER;
  if (!list) return "a table";
  lua_pushliteral(L, "{");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushstring(L, i > 1 ? ", " : "");
    lua_rawgeti(L, index, i);
    describe_number(L, -1);
    lua_remove(L, -2);
    lua_concat(L, 3);
  }
  return lua_pushfstring(L, "%s}", lua_tostring(L, -1));
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
    return describe_number(L, index);
  case LUA_TSTRING:
    return describe_string(L, index);
  case LUA_TTABLE:
    if (!lua_getmetatable(L, index)) return describe_table(L, lua_absindex(L, index));
    lua_pop(L, 1);
    return describe_object(L, S, lua_absindex(L, index));
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

/* ---- options ---- */

static void unknown_option(lua_State *L, const char *operation, const char *name, const peri_option *options,
                           const char *const *also) {
  luaL_Buffer known;
  lua_pushstring(L, name);
  bind_guess guess = bind_guess_for(L, -1);
  bind_guess_options(&guess, options);
  bind_guess_names(&guess, also);
  const char *hint = bind_push_guess(L, &guess);
  luaL_buffinit(L, &known);
  const char *separator = "";
  for (; options != NULL && options->name != NULL; options++, separator = ", ") {
    luaL_addstring(&known, separator);
    luaL_addstring(&known, options->name);
  }
  for (; also != NULL && *also != NULL; also++, separator = ", ") {
    luaL_addstring(&known, separator);
    luaL_addstring(&known, *also);
  }
  luaL_pushresult(&known);
  bind_error(L, operation, "unknown option %s (known: %s)%s", name, lua_tostring(L, -1), hint);
}

bool bind_is_contents(lua_State *L, int index) {
  if (!lua_istable(L, index)) return false;
  bool header = bind_push_entry(L, index, "header") == LUA_TBOOLEAN;
  bool columns = bind_push_entry(L, index, "columns") == LUA_TTABLE;
  lua_pop(L, 2);
  return header && columns;
}

int bind_push_entry(lua_State *L, int index, const char *name) {
  if (!lua_istable(L, index)) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  index = lua_absindex(L, index);
  lua_pushstring(L, name);
  return lua_rawget(L, index);
}

/* The position of a word in a list of words separated by spaces, or -1. */
int bind_choice(const char *choices, const char *word) {
  size_t length = strlen(word);
  for (int i = 0; *choices != '\0'; i++) {
    size_t own = strcspn(choices, " ");
    if (own == length && strncmp(choices, word, own) == 0) return i;
    choices += own + (choices[own] == ' ');
  }
  return -1;
}

/* The whole number next to a bound that is itself left out by as little as a double can be: {0, 1 - 2^-53} is "0 to
 * below 1". The bound itself where there is none. */
static double next_whole(double bound, double towards) {
  double next = nextafter(bound, towards);
  return bound != floor(bound) && next == floor(next) ? next : bound;
}

static void name_range(char *text, size_t size, double low, double high) {
  double from = low == DBL_MIN ? 0 : next_whole(low, -INFINITY), to = next_whole(high, INFINITY);
  snprintf(text, size, "%s%.10g to %s%.10g", from != low ? "above " : "", from, to != high ? "below " : "", to);
}

/* A bound that says "any size" is not named. */
static void out_of_range(lua_State *L, int index, const char *operation, const peri_option *option, double value) {
  char text[100];
  const bool below = value < option->low, open = option->high >= 0x1p53 || option->low <= -0x1p53;
  if (!open) {
    name_range(text, sizeof text, option->low, option->high);
  } else if (below && option->low == DBL_MIN) {
    snprintf(text, sizeof text, "a number above 0");
  } else {
    snprintf(text, sizeof text, "at %s %.10g", below ? "least" : "most", below ? option->low : option->high);
  }
  bind_error(L, operation, "%s is %s (expected %s)", option->name, bind_describe(L, index), text);
}

double bind_read_option(lua_State *L, int index, const char *operation, const peri_option *option) {
  if (option->kind == PERI_OPTION_BOOL) {
    if (!lua_isboolean(L, index))
      bind_error(L, operation, "%s must be true or false, got %s", option->name, bind_describe(L, index));
    return lua_toboolean(L, index);
  }
  if (option->kind == PERI_OPTION_CHOICE) {
    int choice = lua_type(L, index) == LUA_TSTRING ? bind_choice(option->choices, lua_tostring(L, index)) : -1;
    if (choice < 0)
      bind_error(L, operation, "%s must be one of %s, got %s", option->name, luaL_gsub(L, option->choices, " ", ", "),
                 bind_describe(L, index));
    return choice;
  }
  const bool number = lua_type(L, index) == LUA_TNUMBER, whole = option->kind == PERI_OPTION_INTEGER;
  double value = number ? lua_tonumber(L, index) : 0;
  bool limited = option->low != 0 || option->high != 0;
  if (!number || (whole && value != floor(value))) {
    bind_error(L, operation, "%s must be a %s, got %s", option->name, whole ? "whole number" : "number",
               bind_describe(L, index));
  }
  if (!isfinite(value) && !(limited && (value == option->high || value == option->low))) {
    bind_error(L, operation, "%s is %s (expected a finite number)", option->name, bind_describe(L, index));
  }
  if (limited && !(value >= option->low && value <= option->high)) {
    out_of_range(L, index, operation, option, value);
  }
  return value;
}

lua_Integer bind_check_whole(lua_State *L, int index, const char *operation, const char *name, lua_Integer low) {
  int whole = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
  if (!whole) bind_error(L, operation, "%s must be a whole number, got %s", name, bind_describe(L, index));
  if (value < low) bind_error(L, operation, "%s is %I (expected at least %I)", name, value, low);
  return value;
}

void bind_options(lua_State *L, int index, const char *operation, const peri_option *options, const char *const *also,
                  double *values) {
  int n = 0;
  for (; options[n].name != NULL; n++) values[n] = options[n].otherwise;
  if (!lua_isnoneornil(L, index)) {
    if (lua_type(L, index) != LUA_TTABLE)
      bind_error(L, operation, "options must be a table, got %s", bind_describe(L, index));
    index = lua_absindex(L, index);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
      const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
      if (name == NULL) bind_error(L, operation, "options must have names, got the key %s", bind_describe(L, -2));
      int i = 0;
      while (i < n && strcmp(options[i].name, name) != 0) i++;
      if (i < n) {
        values[i] = bind_read_option(L, lua_gettop(L), operation, &options[i]);
        continue;
      }
      const char *const *other = also;
      while (other != NULL && *other != NULL && strcmp(*other, name) != 0) other++;
      if ((other == NULL || *other == NULL) && bind_is_contents(L, index))
        bind_error(L, operation, "options are what read_csv gives third (expected: local X, y = data.read_csv(..))");
      if (other == NULL || *other == NULL) unknown_option(L, operation, name, options, also);
    }
  }
  for (int i = 0; i < n; i++) {
    if (isnan(values[i])) bind_error(L, operation, "option %s is missing", options[i].name);
  }
}

const char *bind_check_path(lua_State *L, int index, const char *operation) {
  if (lua_type(L, index) != LUA_TSTRING)
    bind_error(L, operation, "path must be a string, got %s", bind_describe(L, index));
  const char *path = lua_tostring(L, index);
  if (strlen(path) != lua_rawlen(L, index)) bind_error(L, operation, "path holds a zero byte");
  return path;
}

peri_dtype bind_check_dtype(lua_State *L, int index, const char *operation) {
  for (int d = 0; lua_type(L, index) == LUA_TSTRING && d < PERI_DTYPES; d++) {
    if (strcmp(lua_tostring(L, index), peri_dtype_name((peri_dtype)d)) == 0) return (peri_dtype)d;
  }
  bind_error(L, operation, "dtype must be one of float32, float64, int64, uint8, bool, got %s",
             bind_describe(L, index));
  return PERI_FLOAT32;
}
