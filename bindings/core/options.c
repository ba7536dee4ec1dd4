/* Options and other arguments that are words: read, checked, and refused with the known ones. */
#include "bind.h"
#include "names.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A bound that says "any size" is not named. */
static void out_of_range(lua_State *L, const char *operation, const peri_option *option, double value) {
  char text[100];
  const bool below = value < option->low, open = option->high >= 0x1p53 || option->low <= -0x1p53;
  if (!open) {
    snprintf(text, sizeof text, "%.10g to %.10g", option->low, option->high);
  } else if (below && option->low == DBL_MIN) {
    snprintf(text, sizeof text, "a number above 0");
  } else {
    snprintf(text, sizeof text, "at %s %.10g", below ? "least" : "most", below ? option->low : option->high);
  }
  bind_error(L, operation, "%s is %f (expected %s)", option->name, value, text);
}

static double option_value(lua_State *L, int index, const char *operation, const peri_option *option) {
  if (option->kind == PERI_OPTION_BOOL) {
    if (!lua_isboolean(L, index))
      bind_error(L, operation, "%s must be true or false, got %s", option->name, bind_describe(L, index));
    return lua_toboolean(L, index);
  }
  if (option->kind == PERI_OPTION_CHOICE) {
    int choice = lua_type(L, index) == LUA_TSTRING ? bind_choice(option->choices, lua_tostring(L, index)) : -1;
    if (choice < 0)
      bind_error(L, operation, "%s must be one of %s, got %s", option->name, option->choices, bind_describe(L, index));
    return choice;
  }
  if (lua_type(L, index) != LUA_TNUMBER)
    bind_error(L, operation, "%s must be a number, got %s", option->name, bind_describe(L, index));
  double value = lua_tonumber(L, index);
  bool limited = option->low != 0 || option->high != 0;
  if (option->kind == PERI_OPTION_INTEGER && value != floor(value))
    bind_error(L, operation, "%s must be a whole number, got %f", option->name, value);
  if (!isfinite(value) && !(limited && (value == option->high || value == option->low))) {
    bind_error(L, operation, "%s must be finite, got %f", option->name, value);
  }
  if (limited && !(value >= option->low && value <= option->high)) {
    out_of_range(L, operation, option, value);
  }
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
        values[i] = option_value(L, lua_gettop(L), operation, &options[i]);
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
