/* Options: the one reader of all tables of options, and their values as Lua sees them. */
#include "options.h"

#include "names.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- words ---- */

int bind_choice(const char *choices, const char *word) {
  size_t length = strlen(word);
  for (int i = 0; *choices != '\0'; i++) {
    size_t own = strcspn(choices, " ");
    if (own == length && strncmp(choices, word, own) == 0) return i;
    choices += own + (choices[own] == ' ');
  }
  return -1;
}

/* Pushes the word at a position; where there is none, which only the numbers of a file can say, the position. */
static void push_word(lua_State *L, const char *choices, int position) {
  const char *word = choices;
  for (int i = position; i > 0 && word != NULL; i--) {
    word = strchr(word, ' ');
    if (word != NULL) word++;
  }
  if (word == NULL || position < 0) {
    lua_pushfstring(L, "%d", position);
  } else {
    lua_pushlstring(L, word, strcspn(word, " "));
  }
}

const char *bind_push_meant(lua_State *L, const char *choices, int index) {
  bind_guess guess = bind_guess_for(L, index);
  const char *word = choices;
  for (int i = 0; *word != '\0'; i++) {
    luaL_checkstack(L, 4, "choices");
    push_word(L, choices, i); /* stays until the guess is told */
    bind_guess_name(&guess, lua_tostring(L, -1));
    word += strcspn(word, " ");
    word += *word == ' ';
  }
  return bind_push_guess(L, &guess);
}

int bind_check_choice(lua_State *L, int index, const char *operation, const char *name, const char *choices) {
  index = lua_absindex(L, index);
  int choice = lua_type(L, index) == LUA_TSTRING ? bind_choice(choices, lua_tostring(L, index)) : -1;
  if (choice >= 0) return choice;
  const char *meant = bind_push_meant(L, choices, index);
  return bind_error(L, operation, "%s must be one of %s, got %s%s", name, luaL_gsub(L, choices, " ", ", "),
                    bind_describe(L, index), meant);
}

lua_Integer bind_check_whole(lua_State *L, int index, const char *operation, const char *name, lua_Integer low) {
  int whole = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
  if (!whole) bind_error(L, operation, "%s must be a whole number, got %s", name, bind_describe(L, index));
  if (value < low) bind_error(L, operation, "%s is %I (expected at least %I)", name, value, low);
  return value;
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

/* ---- what is wrong ---- */

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

/* Whether every finite number above 0 will do, which is then said in one. */
static bool is_positive(const peri_option *option) { return option->low == DBL_MIN && option->high == DBL_MAX; }

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
static void out_of_range(lua_State *L, int index, const char *operation, const char *name, const peri_option *option) {
  char text[100];
  const double value = lua_tonumber(L, index);
  const bool below = value < option->low, open = option->high >= 0x1p53 || option->low <= -0x1p53;
  if (!open) {
    name_range(text, sizeof text, option->low, option->high);
  } else if (is_positive(option)) {
    snprintf(text, sizeof text, "a finite number > 0");
  } else if (below && option->low == DBL_MIN) {
    snprintf(text, sizeof text, "a number above 0");
  } else {
    snprintf(text, sizeof text, "at %s %.10g", below ? "least" : "most", below ? option->low : option->high);
  }
  bind_error(L, operation, "%s is %s (expected %s)", name, bind_describe(L, index), text);
}

static const char *number_words(const peri_option *option) {
  return option->kind == PERI_OPTION_INTEGER ? "a whole number" : "a number";
}

/* "padding must be valid, same, a whole number or a list of 2, got 'sme': did you mean same?" */
static void wrong_kind(lua_State *L, const char *operation, const peri_option *option, int index) {
  const char *words = "", *meant = "", *described = bind_describe(L, index);
  const int count = peri_option_values(option);
  if (option->choices != NULL) {
    words = luaL_gsub(L, option->choices, " ", ", ");
    words = lua_pushfstring(L, "%s%s", words, count > 1 ? ", " : " or ");
    meant = bind_push_meant(L, option->choices, index);
  }
  const char *list = count > 1 ? lua_pushfstring(L, " or a list of %s%d", option->open ? "up to " : "", count) : "";
  bind_error(L, operation, "%s must be %s%s%s, got %s%s", option->name, words, number_words(option), list, described,
             meant);
}

/* ---- values ---- */

/* The number at index, called `name` in messages. */
static double check_number(lua_State *L, int index, const char *operation, const char *name,
                           const peri_option *option) {
  index = lua_absindex(L, index);
  const bool number = lua_type(L, index) == LUA_TNUMBER, limited = option->low != 0 || option->high != 0;
  double value = number ? lua_tonumber(L, index) : 0;
  if (!number || (option->kind == PERI_OPTION_INTEGER && value != floor(value)))
    bind_error(L, operation, "%s must be %s, got %s", name, number_words(option), bind_describe(L, index));
  if (!isfinite(value) && !(limited && (value == option->high || value == option->low))) {
    bind_error(L, operation, "%s is %s (expected a finite number%s)", name, bind_describe(L, index),
               is_positive(option) ? " > 0" : "");
  }
  if (limited && !(value >= option->low && value <= option->high)) out_of_range(L, index, operation, name, option);
  return value;
}

/* The list at index: as many numbers as the option has, or one that stands for all; of an open one at least one. */
static void read_list(lua_State *L, int index, const char *operation, const peri_option *option, double *values) {
  const int count = option->count;
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  if (option->open && (n < 1 || n > count))
    bind_error(L, operation, "%s has %I entries (expected 1 to %d)", option->name, n, count);
  if (!option->open && n != count && n != 1)
    bind_error(L, operation, "%s has %I entries (expected %d, or one number for all)", option->name, n, count);
  for (int i = 0; i < count && i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    const char *name = lua_pushfstring(L, "entry %d of %s", i + 1, option->name);
    values[i] = check_number(L, -2, operation, name, option);
    lua_pop(L, 2);
  }
  for (int i = (int)n; i < count; i++) values[i] = option->open ? PERI_NO_VALUE : values[0];
}

void bind_read_option(lua_State *L, int index, const char *operation, const peri_option *option, double *values) {
  int type = lua_type(L, index);
  index = lua_absindex(L, index);
  if (option->kind == PERI_OPTION_BOOL) {
    if (type != LUA_TBOOLEAN)
      bind_error(L, operation, "%s must be true or false, got %s", option->name, bind_describe(L, index));
    *values = lua_toboolean(L, index);
  } else if (option->kind == PERI_OPTION_CHOICE) {
    *values = bind_check_choice(L, index, operation, option->name, option->choices);
  } else if (option->count > 1 && type == LUA_TTABLE) {
    read_list(L, index, operation, option, values);
  } else {
    int word =
        option->choices != NULL && type == LUA_TSTRING ? bind_choice(option->choices, lua_tostring(L, index)) : -1;
    if (type != LUA_TNUMBER && word < 0) wrong_kind(L, operation, option, index);
    *values = word >= 0 ? PERI_OPTION_WORD(word) : check_number(L, index, operation, option->name, option);
    for (int i = 1; i < option->count; i++) values[i] = option->open ? PERI_NO_VALUE : *values;
  }
}

/* ---- the table ---- */

/* The option of that name, and where its values begin; NULL when there is none. */
static const peri_option *find_option(const peri_option *options, const char *name, int *at) {
  for (*at = 0; options->name != NULL; *at += peri_option_values(options), options++) {
    if (strcmp(options->name, name) == 0) return options;
  }
  return NULL;
}

static bool is_among(const char *const *names, const char *name) {
  for (; names != NULL && *names != NULL; names++) {
    if (strcmp(*names, name) == 0) return true;
  }
  return false;
}

void bind_read_options(lua_State *L, int index, const char *operation, const peri_option *options,
                       const char *const *also, double *values) {
  if (!lua_isnoneornil(L, index)) {
    if (lua_type(L, index) != LUA_TTABLE)
      bind_error(L, operation, "options must be a table, got %s", bind_describe(L, index));
    index = lua_absindex(L, index);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
      const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
      if (name == NULL) bind_error(L, operation, "options must have names, got the key %s", bind_describe(L, -2));
      int at;
      const peri_option *option = find_option(options, name, &at);
      if (option != NULL) {
        bind_read_option(L, -1, operation, option, &values[at]);
        continue;
      }
      if (is_among(also, name)) continue;
      if (bind_is_contents(L, index))
        bind_error(L, operation, "options are what read_csv gives third (expected: local X, y = data.read_csv(..))");
      unknown_option(L, operation, name, options, also);
    }
  }
  for (int at = 0; options->name != NULL; at += peri_option_values(options), options++) {
    if (isnan(values[at])) bind_error(L, operation, "option %s is missing", options->name);
  }
}

void bind_options(lua_State *L, int index, const char *operation, const peri_option *options, const char *const *also,
                  double *values) {
  peri_option_defaults(options, values);
  bind_read_options(L, index, operation, options, also, values);
}

/* ---- values as Lua sees them ---- */

static void push_value(lua_State *L, const peri_option *option, double value) {
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
    push_word(L, option->choices, value >= 0 && value < PERI_MAX_WORDS ? (int)value : -1);
  }
}

void bind_push_option(lua_State *L, const peri_option *option, const double *values) {
  const int word = peri_option_has_words(option) ? peri_option_word(*values) : -1;
  const int n = peri_option_length(option, values);
  if (word >= 0) {
    push_word(L, option->choices, word);
  } else if (n > 1) {
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
      push_value(L, option, values[i]);
      lua_rawseti(L, -2, i + 1);
    }
  } else {
    push_value(L, option, *values);
  }
}

bool bind_push_named_option(lua_State *L, const peri_option *options, const double *values, const char *name) {
  int at;
  const peri_option *option = find_option(options, name, &at);
  if (option != NULL) bind_push_option(L, option, &values[at]);
  return option != NULL;
}

static void set_text(lua_State *L, const char *field, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

void bind_push_options(lua_State *L, const peri_option *options) {
  static const char *const kinds[] = {[PERI_OPTION_NUMBER] = "number",
                                      [PERI_OPTION_INTEGER] = "integer",
                                      [PERI_OPTION_BOOL] = "boolean",
                                      [PERI_OPTION_CHOICE] = "choice"};
  lua_newtable(L);
  for (int i = 0; options[i].name != NULL; i++) {
    double defaults[PERI_MAX_NUMBERS];
    lua_createtable(L, 0, 6);
    set_text(L, "name", options[i].name);
    set_text(L, "kind", kinds[options[i].kind]);
    set_text(L, "doc", options[i].doc);
    set_text(L, "choices", options[i].choices);
    set_text(L, "like", options[i].like);
    if (options[i].count > 1) {
      lua_pushinteger(L, options[i].count);
      lua_setfield(L, -2, "count");
    }
    if (options[i].like == NULL && !isnan(peri_option_default(&options[i], 0))) {
      for (int k = 0; k < peri_option_values(&options[i]); k++) defaults[k] = peri_option_default(&options[i], k);
      bind_push_option(L, &options[i], defaults);
      lua_setfield(L, -2, "default");
    }
    lua_rawseti(L, -2, i + 1);
  }
}

/* ---- text ---- */

/* Pushes a value as one would write it. */
static const char *push_value_text(lua_State *L, const peri_option *option, double value) {
  const bool word = option->kind == PERI_OPTION_CHOICE;
  push_value(L, option, value);
  const char *text = luaL_tolstring(L, -1, NULL);
  if (word) lua_pushfstring(L, "\"%s\"", text);
  if (word) lua_remove(L, -2);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

const char *bind_push_option_text(lua_State *L, const peri_option *option, const double *values) {
  const int word = peri_option_has_words(option) ? peri_option_word(*values) : -1;
  const int count = peri_option_length(option, values);
  int equal = 1;
  if (word >= 0) {
    push_word(L, option->choices, word);
    lua_pushfstring(L, "\"%s\"", lua_tostring(L, -1));
    lua_remove(L, -2);
    return lua_tostring(L, -1);
  }
  while (equal < count && values[equal] == *values) equal++;
  if (equal == count && (count == 1 || !option->open)) return push_value_text(L, option, *values);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    push_value_text(L, option, values[i]);
    lua_rawseti(L, -2, i + 1);
  }
  bind_join(L, ", ");
  lua_pushfstring(L, "{%s}", lua_tostring(L, -1));
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

void bind_add_option_texts(lua_State *L, const peri_option *options, const double *defaults, const double *values) {
  int list = lua_gettop(L), count;
  for (; options->name != NULL; options++, defaults += count, values += count) {
    int equal = 0, n = peri_option_length(options, values);
    count = peri_option_values(options);
    while (equal < n && values[equal] == defaults[equal]) equal++;
    if (equal == n && n == peri_option_length(options, defaults)) continue;
    lua_pushfstring(L, "%s = %s", options->name, bind_push_option_text(L, options, values));
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
