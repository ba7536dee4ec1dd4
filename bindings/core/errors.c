/* Errors with the script's position, and values in words. */
#include "bind.h"
#include "anomaly.h"

#include <math.h>
#include <string.h>

int bind_push_position(lua_State *L) {
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
  if (!(atomic_load(&S->context->interrupt->signals) & PERI_SIGNAL_CANCEL) ||
      strcmp(peri_message(S->context), "interrupted") != 0)
    return;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.interrupt_delivered") == LUA_TFUNCTION)
    lua_call(L, 0, 0);
  else
    lua_pop(L, 1);
}

static const char error_key;

/* One error at a time: one that was caught and raised again is still known while no other has come. */
void bind_tell_error(lua_State *L, bind_state *S, peri_status status) {
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key); /* the key is there: no memory is needed */
  S->raised = status;
}

void bind_open_errors(lua_State *L) {
  lua_pushboolean(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
}

peri_status bind_error_status(lua_State *L, const bind_state *S, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  bool is = lua_type(L, -1) == LUA_TSTRING && lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return is ? S->raised : PERI_ERR_SCRIPT;
}

int bind_raise(lua_State *L, bind_state *S, peri_status status) {
  deliver_interrupt(L, S);
  bind_push_position(L);
  lua_pushstring(L, peri_message(S->context));
  lua_concat(L, 2);
  bind_tell_error(L, S, status);
  return lua_error(L);
}

int bind_stop(lua_State *L, bind_state *S) { return bind_raise(L, S, peri_check_cancel(S->context)); }

int bind_error(lua_State *L, const char *operation, const char *format, ...) {
  va_list arguments;
  bind_state *S = bind_open(L, NULL);
  if (peri_cancelled(S->context)) bind_stop(L, S); /* nothing else is wrong with a call that the host has stopped */
  int top = lua_gettop(L), called = bind_push_position(L);
  if (!push_colon_mistake(L, called)) {
    lua_pushfstring(L, operation == NULL ? "" : "%s: ", operation);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
  }
  lua_concat(L, lua_gettop(L) - top);
  if (strstr(lua_tostring(L, -1), " -nan") != NULL) luaL_gsub(L, lua_tostring(L, -1), " -nan", " nan");
  bind_tell_error(L, S, PERI_ERR_ARGUMENT);
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
  bind_state *S = bind_open(L, NULL);
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
