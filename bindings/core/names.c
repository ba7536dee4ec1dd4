#include "names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- the closest name ---- */

#define LONGEST 40 /* of names that are compared */

static int least(int a, int b, int c) {
  int smaller = a < b ? a : b;
  return smaller < c ? smaller : c;
}

/* Letters to insert, leave out, replace or swap with a neighbour (F. J. Damerau 1964; each place once), where capitals
 * are as good as small letters. */
static int distance(const char *a, const char *b) {
  int rows[3][LONGEST + 1], n = (int)strlen(a), m = (int)strlen(b);
  int *before = rows[0], *last = rows[1], *row = rows[2];
  for (int j = 0; j <= m; j++) last[j] = j;
  for (int i = 1; i <= n; i++) {
    int here = tolower((unsigned char)a[i - 1]), previous = i > 1 ? tolower((unsigned char)a[i - 2]) : 0;
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      int there = tolower((unsigned char)b[j - 1]);
      row[j] = least(last[j] + 1, row[j - 1] + 1, last[j - 1] + (here != there));
      bool swapped = i > 1 && j > 1 && previous == there && here == tolower((unsigned char)b[j - 2]);
      if (swapped && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
    }
    int *free_row = before;
    before = last;
    last = row;
    row = free_row;
  }
  return last[m];
}

/* One slip in a short name, two from 6 letters on, three from 11. */
bind_guess bind_guess_for(lua_State *L, int index) {
  bind_guess guess = {.word = NULL};
  if (lua_type(L, index) != LUA_TSTRING || lua_rawlen(L, index) > LONGEST || lua_rawlen(L, index) < 2) return guess;
  guess.word = lua_tostring(L, index);
  size_t length = strlen(guess.word);
  guess.distance = length < 6 ? 2 : length < 11 ? 3 : 4; /* the first that is too far */
  return guess;
}

void bind_guess_name(bind_guess *guess, const char *name) {
  size_t length = strlen(name);
  if (*name == '_') return;
  if (guess->count < BIND_FEW) guess->few[guess->count] = name;
  guess->count++;
  if (guess->word == NULL || length > LONGEST || length < 2) return;
  int apart = (int)length - (int)strlen(guess->word);
  if (apart >= guess->distance + 1 || -apart >= guess->distance + 1) return;
  int d = distance(guess->word, name);
  if (d > guess->distance || (size_t)d >= strlen(guess->word)) return;
  if (d == guess->distance && (guess->best == NULL || strcmp(name, guess->best) >= 0)) return;
  guess->distance = d;
  guess->best = name;
}

void bind_guess_names(bind_guess *guess, const char *const *names) {
  for (; names != NULL && *names != NULL; names++) bind_guess_name(guess, *names);
}

void bind_guess_options(bind_guess *guess, const peri_option *options) {
  for (; options != NULL && options->name != NULL; options++) bind_guess_name(guess, options->name);
}

#define MOST_TABLES 20 /* metatables may circle */

void bind_guess_keys(lua_State *L, bind_guess *guess, int index) {
  luaL_checkstack(L, 6, "names");
  lua_pushvalue(L, index);
  for (int depth = 0; depth < MOST_TABLES && lua_istable(L, -1); depth++) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (lua_type(L, -2) == LUA_TSTRING) bind_guess_name(guess, lua_tostring(L, -2));
    }
    if (!lua_getmetatable(L, -1)) break;
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

const char *bind_push_guess(lua_State *L, const bind_guess *guess) {
  if (guess->best == NULL) return lua_pushliteral(L, "");
  return lua_pushfstring(L, ": did you mean %s?", guess->best);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* " (known: a, b, c)" of a few names, or an empty text. */
static const char *push_few(lua_State *L, const bind_guess *guess) {
  const char *few[BIND_FEW];
  luaL_Buffer text;
  if (guess->count == 0 || guess->count > BIND_FEW) return lua_pushliteral(L, "");
  memcpy(few, guess->few, sizeof few);
  qsort(few, (size_t)guess->count, sizeof *few, by_name);
  luaL_buffinit(L, &text);
  for (int i = 0; i < guess->count; i++) {
    if (i > 0 && strcmp(few[i], few[i - 1]) == 0) continue; /* of a class and its parent */
    luaL_addstring(&text, i == 0 ? " (known: " : ", ");
    luaL_addstring(&text, few[i]);
  }
  luaL_addchar(&text, ')');
  luaL_pushresult(&text);
  return lua_tostring(L, -1);
}

int bind_no_field(lua_State *L, const char *object, const char *name, const bind_guess *guess) {
  return bind_error(L, object, "there is no field or method %s%s", name,
                    guess->best != NULL ? bind_push_guess(L, guess) : push_few(L, guess));
}

/* ---- questions ---- */

static int read_field(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* Any error of reading is a no, but for those that say nothing of the field. */
int bind_has(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING)
    return bind_error(L, "has", "name must be a string, got %s (object:has \"name\")", bind_describe(L, 2));
  if (bind_kind_of(L, bind_here(L), 1) == BIND_NONE)
    return bind_error(L, "has", "called with %s (expected object:has \"name\")", bind_describe(L, 1));
  lua_settop(L, 2);
  lua_pushcfunction(L, read_field);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  int status = lua_pcall(L, 2, 1, 0);
  if (status != LUA_OK && (status != LUA_ERRRUN || lua_type(L, -1) != LUA_TSTRING)) return lua_error(L);
  lua_pushboolean(L, status == LUA_OK && !lua_isnil(L, -1));
  return 1;
}

/* An object of a class in Lua: its metatable, or what that shows as such, is one of internal.classes, which ends its
 * name
 * ("plot.figure"). */
static bool push_class_name(lua_State *L) {
  if (lua_type(L, 1) != LUA_TTABLE || !lua_getmetatable(L, 1)) return false;
  lua_pushliteral(L, "__metatable");
  lua_rawget(L, 2);
  bind_push_internal(L);
  if (lua_getfield(L, -1, "classes") != LUA_TTABLE) return false;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (!lua_rawequal(L, -1, 2) && !lua_rawequal(L, -1, 3)) continue;
    const char *name = lua_tostring(L, -2), *dot = strrchr(name, '.');
    bool fits = strncmp(name, "train.", 6) == 0 || (dot != NULL && isupper((unsigned char)dot[1]));
    lua_pushstring(L, fits ? "estimator" : dot != NULL ? dot + 1 : name);
    return true;
  }
  return false;
}

int bind_type(lua_State *L) {
  static const char *const names[] = {
      [BIND_TENSOR] = "tensor",       [BIND_LAYER] = "layer",       [BIND_CONTAINER] = "layer",
      [BIND_OBJECT] = "layer",        [BIND_BUFFER] = "buffer",     [BIND_OPTIMIZER] = "optimizer",
      [BIND_GROUP] = "group",         [BIND_SCHEDULE] = "schedule", [BIND_LOADER] = "loader",
      [BIND_GENERATOR] = "generator", [BIND_HOOK] = "hook",         [BIND_ESTIMATOR] = "estimator"};
  bind_state *S = bind_here(L);
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  bind_kind kind = bind_kind_of(L, S, 1);
  if (kind > BIND_ESTIMATOR) kind = BIND_ESTIMATOR;
  if (kind == BIND_NONE ? !push_class_name(L) : bind_is_released(L, S, 1)) {
    lua_pushnil(L);
  } else if (kind != BIND_NONE) {
    lua_pushstring(L, names[kind]);
  }
  return 1;
}
