/* The functions of strings that may take long, on the one hand find, match, gmatch and gsub with a matcher of patterns
 * (section 6.4.1 of the Lua manual) that looks, as it goes, whether the call is to end, and on the other hand rep. */
#define _GNU_SOURCE /* memmem */
#include "limits.h"

#include <ctype.h>
#include <lualib.h>
#include <string.h>

#define MOST_CAPTURES 32
#define DEEPEST       200  /* matches within each other */
#define WORK          4096 /* steps between two looks */

typedef struct matcher {
  lua_State *L;
  const char *begin, *end; /* of the subject */
  const char *pattern_end;
  int depth, captures;
  unsigned work;
  struct {
    const char *at;
    ptrdiff_t size; /* or: */
  } capture[MOST_CAPTURES];
} matcher;
enum { OPEN = -1, POSITION = -2 };

static const char *match(matcher *m, const char *s, const char *p);

static inline void work(matcher *m) {
  if (++m->work % WORK == 0) limits_look(m->L, WORK);
}

/* ---- one character ---- */

/* Behind the class, set or character that begins at p. */
static const char *item_end(const matcher *m, const char *p) {
  char first = *p++;
  if (first == '%') {
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 1;
  }
  if (first != '[') return p;
  if (p < m->pattern_end && *p == '^') p++;
  do { /* a ']' that comes first stands for itself */
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    if (*p++ == '%') {
      if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
      p++;
    }
  } while (p == m->pattern_end || *p != ']');
  return p + 1;
}

static bool in_class(int c, int class) {
  bool is;
  switch (tolower(class)) {
  case 'a':
    is = isalpha(c) != 0;
    break;
  case 'c':
    is = iscntrl(c) != 0;
    break;
  case 'd':
    is = isdigit(c) != 0;
    break;
  case 'g':
    is = isgraph(c) != 0;
    break;
  case 'l':
    is = islower(c) != 0;
    break;
  case 'p':
    is = ispunct(c) != 0;
    break;
  case 's':
    is = isspace(c) != 0;
    break;
  case 'u':
    is = isupper(c) != 0;
    break;
  case 'w':
    is = isalnum(c) != 0;
    break;
  case 'x':
    is = isxdigit(c) != 0;
    break;
  default:
    return class == c;
  }
  return isupper(class) ? !is : is;
}

/* The set from its '[' to `last`, its ']'. */
static bool in_set(int c, const char *p, const char *last) {
  bool found = true;
  if (*++p == '^') {
    found = false;
    p++;
  }
  for (; p < last; p++) {
    if (*p == '%') {
      p++;
      if (in_class(c, (unsigned char)*p)) return found;
    } else if (p + 2 < last && p[1] == '-') {
      if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2]) return found;
      p += 2;
    } else if ((unsigned char)*p == c) {
      return found;
    }
  }
  return !found;
}

/* Whether a character stands at s that the item from p to `end` takes. */
static bool takes(const matcher *m, const char *s, const char *p, const char *end) {
  if (s >= m->end) return false;
  int c = (unsigned char)*s;
  switch (*p) {
  case '.':
    return true;
  case '%':
    return in_class(c, (unsigned char)p[1]);
  case '[':
    return in_set(c, p, end - 1);
  default:
    return (unsigned char)*p == c;
  }
}

/* ---- what is more than one character ---- */

static const char *match_balanced(matcher *m, const char *s, const char *p) {
  if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (s >= m->end || *s != p[0]) return NULL;
  int deep = 1;
  for (s++; s < m->end; s++) {
    work(m);
    if (*s == p[1]) {
      if (--deep == 0) return s + 1;
    } else if (*s == p[0]) {
      deep++;
    }
  }
  return NULL;
}

static const char *match_most(matcher *m, const char *s, const char *p, const char *end) {
  ptrdiff_t n = 0;
  for (; takes(m, s + n, p, end); n++) work(m);
  for (; n >= 0; n--) {
    const char *matched = match(m, s + n, end + 1);
    if (matched != NULL) return matched;
  }
  return NULL;
}

static const char *match_fewest(matcher *m, const char *s, const char *p, const char *end) {
  for (;; s++) {
    const char *matched = match(m, s, end + 1);
    if (matched != NULL) return matched;
    if (!takes(m, s, p, end)) return NULL;
  }
}

static const char *begin_capture(matcher *m, const char *s, const char *p, int what) {
  if (m->captures >= MOST_CAPTURES) luaL_error(m->L, "too many captures");
  m->capture[m->captures].at = s;
  m->capture[m->captures++].size = what;
  const char *matched = match(m, s, p);
  if (matched == NULL) m->captures--;
  return matched;
}

static const char *end_capture(matcher *m, const char *s, const char *p) {
  int i = m->captures - 1;
  while (i >= 0 && m->capture[i].size != OPEN) i--;
  if (i < 0) luaL_error(m->L, "invalid pattern capture");
  m->capture[i].size = s - m->capture[i].at;
  const char *matched = match(m, s, p);
  if (matched == NULL) m->capture[i].size = OPEN;
  return matched;
}

static const char *match_again(matcher *m, const char *s, int digit) {
  int i = digit - '1';
  if (i < 0 || i >= m->captures || m->capture[i].size == OPEN) {
    luaL_error(m->L, "invalid capture index %%%d in pattern", i + 1);
    return NULL;
  }
  size_t size = m->capture[i].size == POSITION ? 0 : (size_t)m->capture[i].size;
  m->work += (unsigned)(size / 64);
  return (size_t)(m->end - s) >= size && memcmp(m->capture[i].at, s, size) == 0 ? s + size : NULL;
}

/* Whether s is where a run of the set begins; the subject is surrounded by zeros. */
static bool at_frontier(const matcher *m, const char *s, const char *set, const char *end) {
  int before = s == m->begin ? 0 : (unsigned char)s[-1], here = s == m->end ? 0 : (unsigned char)*s;
  return !in_set(before, set, end - 1) && in_set(here, set, end - 1);
}

/* ---- the whole ---- */

/* What an item with its sign of repetition takes; *p goes behind it, to NULL when the rest was matched here too. */
static const char *match_item(matcher *m, const char *s, const char **p) {
  const char *end = item_end(m, *p), *item = *p, *matched;
  char sign = end < m->pattern_end ? *end : '\0';
  *p = NULL;
  switch (sign) {
  case '?':
    if (takes(m, s, item, end) && (matched = match(m, s + 1, end + 1)) != NULL) return matched;
    *p = end + 1;
    return s;
  case '+':
    return takes(m, s, item, end) ? match_most(m, s + 1, item, end) : NULL;
  case '*':
    return match_most(m, s, item, end);
  case '-':
    return match_fewest(m, s, item, end);
  default:
    *p = end;
    return takes(m, s, item, end) ? s + 1 : NULL;
  }
}

/* Items that begin with '%' and are no class; *p as above. False: it is a class. */
static bool match_special(matcher *m, const char **s, const char **p) {
  int kind = *p + 1 < m->pattern_end ? (*p)[1] : '\0';
  if (kind == 'b') {
    *s = match_balanced(m, *s, *p + 2);
    *p += 4;
  } else if (kind == 'f') {
    const char *set = *p + 2;
    if (set >= m->pattern_end || *set != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *p = item_end(m, set);
    if (!at_frontier(m, *s, set, *p)) *s = NULL;
  } else if (isdigit(kind)) {
    *s = match_again(m, *s, kind);
    *p += 2;
  } else {
    return false;
  }
  return true;
}

/* The end of what the pattern from p on matches at s, or NULL. */
static const char *match(matcher *m, const char *s, const char *p) {
  if (m->depth-- == 0) luaL_error(m->L, "pattern too complex");
  while (s != NULL && p != NULL && p < m->pattern_end) {
    work(m);
    if (*p == '(') {
      bool position = p + 1 < m->pattern_end && p[1] == ')';
      s = begin_capture(m, s, p + (position ? 2 : 1), position ? POSITION : OPEN);
      break;
    }
    if (*p == ')') {
      s = end_capture(m, s, p + 1);
      break;
    }
    if (*p == '$' && p + 1 == m->pattern_end) {
      if (s != m->end) s = NULL;
      break;
    }
    if (*p == '%' && match_special(m, &s, &p)) continue;
    s = match_item(m, s, &p);
  }
  m->depth++;
  return s;
}

static const char *match_from(matcher *m, const char *s, const char *pattern) {
  m->captures = 0;
  m->depth = DEEPEST;
  return match(m, s, pattern);
}

static matcher open_matcher(lua_State *L, const char *subject, size_t size, const char *pattern, size_t pattern_size) {
  return (matcher){.L = L, .begin = subject, .end = subject + size, .pattern_end = pattern + pattern_size};
}

/* ---- captures ---- */

/* Capture i of a match from s to `end`; where there are none, 0 is the whole. */
static void push_capture(matcher *m, int i, const char *s, const char *end) {
  if (i >= m->captures) {
    if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, s, (size_t)(end - s));
  } else if (m->capture[i].size == POSITION) {
    lua_pushinteger(m->L, m->capture[i].at - m->begin + 1);
  } else {
    if (m->capture[i].size == OPEN) luaL_error(m->L, "unfinished capture");
    lua_pushlstring(m->L, m->capture[i].at, (size_t)m->capture[i].size);
  }
}

/* All of them; without any the whole, where there is one to give. */
static int push_captures(matcher *m, const char *s, const char *end) {
  int n = m->captures == 0 && s != NULL ? 1 : m->captures;
  luaL_checkstack(m->L, n, "too many captures");
  for (int i = 0; i < n; i++) push_capture(m, i, s, end);
  return n;
}

/* ---- find, match, gmatch ---- */

/* The place from 0 that an argument says, from the end where it is below 0; beyond the end: size + 1. */
static size_t read_start(lua_State *L, int index, size_t size) {
  lua_Integer start = luaL_optinteger(L, index, 1);
  if (start > 0) return (lua_Unsigned)start - 1 > size ? size + 1 : (size_t)start - 1;
  if (start == 0 || start < -(lua_Integer)size) return 0;
  return (size_t)((lua_Integer)size + start);
}

static int find_text(lua_State *L, const char *subject, size_t size, size_t start, const char *text, size_t length) {
  const char *found = memmem(subject + start, size - start, text, length);
  if (found == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushinteger(L, found - subject + 1);
  lua_pushinteger(L, found - subject + (lua_Integer)length);
  return 2;
}

static bool has_specials(const char *pattern, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (pattern[i] != '\0' && strchr("^$*+?.([%-", pattern[i]) != NULL) return true;
  }
  return false;
}

static int search(lua_State *L, bool find) {
  size_t size, length;
  const char *subject = luaL_checklstring(L, 1, &size), *pattern = luaL_checklstring(L, 2, &length);
  size_t start = read_start(L, 3, size);
  if (start > size) {
    lua_pushnil(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || !has_specials(pattern, length)))
    return find_text(L, subject, size, start, pattern, length);
  matcher m = open_matcher(L, subject, size, pattern, length);
  bool anchored = length > 0 && *pattern == '^';
  for (const char *s = subject + start; s <= m.end; s++) {
    const char *end = match_from(&m, s, pattern + anchored);
    if (end != NULL && !find) return push_captures(&m, s, end);
    if (end != NULL) {
      lua_pushinteger(L, s - subject + 1);
      lua_pushinteger(L, end - subject);
      return 2 + push_captures(&m, NULL, NULL);
    }
    if (anchored) break;
  }
  lua_pushnil(L);
  return 1;
}

static int guarded_find(lua_State *L) { return search(L, true); }
static int guarded_match(lua_State *L) { return search(L, false); }

/* Upvalues: the subject, the pattern, where the next search begins, and where the last match ended. */
static int next_match(lua_State *L) {
  size_t size, length;
  const char *subject = lua_tolstring(L, lua_upvalueindex(1), &size);
  const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &length);
  matcher m = open_matcher(L, subject, size, pattern, length);
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
  for (const char *s = subject + lua_tointeger(L, lua_upvalueindex(3)); s <= m.end; s++) {
    const char *end = match_from(&m, s, pattern);
    if (end == NULL || end - subject == last) continue;
    lua_pushinteger(L, end - subject);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(&m, s, end);
  }
  return 0;
}

static int guarded_gmatch(lua_State *L) {
  size_t size;
  luaL_checklstring(L, 1, &size);
  luaL_checkstring(L, 2);
  size_t start = read_start(L, 3, size);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)(start > size ? size + 1 : start));
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, next_match, 4);
  return 1;
}

/* ---- gsub ---- */

/* A replacement's text, in which %1 is a capture. */
static void add_text(matcher *m, luaL_Buffer *out, const char *s, const char *end) {
  size_t size;
  const char *text = lua_tolstring(m->L, 3, &size), *sign;
  while ((sign = memchr(text, '%', size)) != NULL) {
    luaL_addlstring(out, text, (size_t)(sign - text));
    int kind = sign + 1 < text + size ? (unsigned char)sign[1] : 0;
    if (kind == '%') {
      luaL_addchar(out, '%');
    } else if (kind == '0') {
      luaL_addlstring(out, s, (size_t)(end - s));
    } else if (isdigit(kind)) {
      push_capture(m, kind - '1', s, end);
      luaL_tolstring(m->L, -1, NULL); /* a position is a number */
      lua_remove(m->L, -2);
      luaL_addvalue(out);
    } else {
      luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
    size -= (size_t)(sign + 2 - text);
    text = sign + 2;
  }
  luaL_addlstring(out, text, size);
}

/* Puts what comes in the place of a match; false: the match itself. */
static bool add_replacement(matcher *m, luaL_Buffer *out, const char *s, const char *end) {
  lua_State *L = m->L;
  int kind = lua_type(L, 3);
  if (kind == LUA_TSTRING || kind == LUA_TNUMBER) {
    add_text(m, out, s, end);
    return true;
  }
  if (kind == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, s, end), 1);
  } else {
    push_capture(m, 0, s, end);
    lua_gettable(L, 3);
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(out, s, (size_t)(end - s));
    return false;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(out);
  return true;
}

static int guarded_gsub(lua_State *L) {
  size_t size, length;
  const char *s = luaL_checklstring(L, 1, &size), *pattern = luaL_checklstring(L, 2, &length), *last = NULL;
  int kind = lua_type(L, 3);
  luaL_argexpected(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
                   "string/function/table");
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)size + 1), n = 0;
  matcher m = open_matcher(L, s, size, pattern, length);
  bool anchored = length > 0 && *pattern == '^', changed = false;
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (n < most) {
    const char *end = match_from(&m, s, pattern + anchored);
    if (end != NULL && end != last) {
      n++;
      changed |= add_replacement(&m, &out, s, end);
      s = last = end;
    } else if (s < m.end) {
      luaL_addchar(&out, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (changed) {
    luaL_addlstring(&out, s, (size_t)(m.end - s));
    luaL_pushresult(&out);
  } else {
    lua_pushvalue(L, 1);
  }
  lua_pushinteger(L, n);
  return 2;
}

/* ---- rep ---- */

/* Nothing, however often it is asked for, is nothing at once. */
static int guarded_rep(lua_State *L) {
  size_t size, between;
  luaL_checklstring(L, 1, &size);
  luaL_checkinteger(L, 2);
  luaL_optlstring(L, 3, "", &between);
  if (size + between == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

void limits_guard_strings(lua_State *L) {
  static const luaL_Reg list[] = {{"find", guarded_find}, {"match", guarded_match}, {"gmatch", guarded_gmatch},
                                  {"gsub", guarded_gsub}, {"rep", guarded_rep},     {NULL, NULL}};
  lua_getglobal(L, LUA_STRLIBNAME);
  limits_replace(L, list);
  lua_pop(L, 1);
}
