#include "option_list.h"

#include <math.h>
#include <string.h>

void bind_push_option(lua_State *L, const peri_option *option, double value) {
  const char *word = option->choices;
  switch (option->kind) {
  case PERI_OPTION_NUMBER:
    lua_pushnumber(L, value);
    break;
  case PERI_OPTION_INTEGER:
    lua_pushinteger(L, (lua_Integer)value);
    break;
  case PERI_OPTION_BOOL:
    lua_pushboolean(L, value != 0);
    break;
  case PERI_OPTION_CHOICE:
    for (int i = 0; i < (int)value; i++) word = strchr(word, ' ') + 1;
    lua_pushlstring(L, word, strcspn(word, " "));
  }
}

bool bind_push_named_option(lua_State *L, const peri_option *options, const double *values, const char *name) {
  for (int i = 0; options[i].name != NULL; i++) {
    if (strcmp(options[i].name, name) != 0) continue;
    bind_push_option(L, &options[i], values[i]);
    return true;
  }
  return false;
}

void bind_push_options(lua_State *L, const peri_option *options) {
  lua_newtable(L);
  for (int i = 0; options[i].name != NULL; i++) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, options[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, options[i].doc);
    lua_setfield(L, -2, "doc");
    if (options[i].choices != NULL) {
      lua_pushstring(L, options[i].choices);
      lua_setfield(L, -2, "choices");
    }
    if (!isnan(options[i].otherwise)) {
      bind_push_option(L, &options[i], options[i].otherwise);
      lua_setfield(L, -2, "default");
    }
    lua_rawseti(L, -2, i + 1);
  }
}

void bind_add_option_texts(lua_State *L, const peri_option *options, const double *values) {
  int list = lua_gettop(L);
  for (int i = 0; options[i].name != NULL; i++) {
    if (values[i] == options[i].otherwise) continue;
    const char *quote = options[i].kind == PERI_OPTION_CHOICE ? "\"" : "";
    bind_push_option(L, &options[i], values[i]);
    lua_pushfstring(L, "%s = %s%s%s", options[i].name, quote, luaL_tolstring(L, -1, NULL), quote);
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    lua_settop(L, list);
  }
}

void bind_join(lua_State *L, const char *separator) {
  int list = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) luaL_addstring(&text, separator);
    lua_rawgeti(L, list, i);
    luaL_addvalue(&text);
  }
  luaL_pushresult(&text);
  lua_replace(L, list);
}
