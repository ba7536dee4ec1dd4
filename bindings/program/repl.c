/* The REPL's C half: the input, the terminal and Ctrl-C. What is evaluated, printed and completed is
 * decided in bindings/lua/program. */
#include "program.h"
#include "repl_edit.h"

#include <lauxlib.h>
#include <lualib.h>
#include <perilune/perilune.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lives as a userdata; the functions given to Lua have it as their first upvalue. */
typedef struct console {
  lua_State *L;
  bool interactive;
  peri_editor *editor;
  char *line; /* getline's, when there is no editor */
  size_t capacity;
} console;

static console *console_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static int close_console(lua_State *L) {
  console *terminal = lua_touserdata(L, 1);
  peri_editor_close(terminal->editor);
  free(terminal->line);
  terminal->editor = NULL;
  terminal->line = NULL;
  return 0;
}

/* ---- the history's place ---- */

/* Makes the directories that lead to path; a failure shows when the file is written. */
static void make_parents(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
  }
}

/* $XDG_STATE_HOME/perilune/history, else ~/.local/state/perilune/history; NULL without a home.
 * Pushes the string that it returns. */
static const char *push_history_path(lua_State *L) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (state && state[0] == '/') {
    lua_pushfstring(L, "%s/perilune/history", state);
  } else if (home && home[0] == '/') {
    lua_pushfstring(L, "%s/.local/state/perilune/history", home);
  } else {
    lua_pushnil(L);
    return NULL;
  }
  char *path = strdup(lua_tostring(L, -1));
  if (path) make_parents(path);
  free(path);
  return lua_tostring(L, -1);
}

/* ---- what Lua is given ---- */

/* read(prompt): a line without its newline; nil at the end of the input; false after Ctrl-C. */
static int read_line(lua_State *L) {
  console *terminal = console_of(L);
  const char *prompt = luaL_checkstring(L, 1);
  const char *line = NULL;
  peri_interrupt_came(); /* what came while nothing was computed and nothing typed is past */
  if (terminal->editor) {
    line = peri_editor_read(terminal->editor, prompt);
  } else {
    if (terminal->interactive) fputs(prompt, stdout);
    fflush(stdout);
    if (getline(&terminal->line, &terminal->capacity, stdin) >= 0) line = terminal->line;
  }
  if (peri_interrupt_came()) {
    clearerr(stdin);
    lua_pushboolean(L, false);
  } else if (line) {
    size_t length = strlen(line); /* a paste has several lines */
    lua_pushlstring(L, line, length > 0 && line[length - 1] == '\n' ? length - 1 : length);
  } else {
    if (terminal->interactive) clearerr(stdin); /* Ctrl-D ends a line's input, not the terminal's */
    lua_pushnil(L);
  }
  return 1;
}

static int remember(lua_State *L) {
  console *terminal = console_of(L);
  const char *input = luaL_checkstring(L, 1);
  if (terminal->editor) peri_editor_remember(terminal->editor, input);
  return 0;
}

typedef struct entry_list {
  lua_State *L;
  lua_Integer n;
} entry_list;

static void push_entry(const char *input, void *user) {
  entry_list *list = user;
  lua_pushstring(list->L, input);
  lua_rawseti(list->L, -2, ++list->n);
}

/* history(): a list of what was typed, here and in earlier sessions, the oldest first. */
static int list_history(lua_State *L) {
  console *terminal = console_of(L);
  entry_list list = {.L = L};
  lua_newtable(L);
  luaL_checkstack(L, 4, NULL);
  if (terminal->editor) peri_editor_entries(terminal->editor, push_entry, &list);
  return 1;
}

/* The host, and what the terminal adds to it. */
static void push_functions(lua_State *L, int terminal, bool interactive) {
  static const luaL_Reg functions[] = {
      {"read", read_line}, {"remember", remember}, {"history", list_history}, {NULL, NULL}};
  terminal = lua_absindex(L, terminal);
  peri_push_host(L);
  for (const luaL_Reg *function = functions; function->name; function++) {
    lua_pushvalue(L, terminal);
    lua_pushcclosure(L, function->func, 1);
    lua_setfield(L, -2, function->name);
  }
  lua_pushboolean(L, interactive);
  lua_setfield(L, -2, "interactive");
  if (interactive) return;
  lua_pushnil(L); /* nothing is remembered but the session's inputs */
  lua_setfield(L, -2, "history");
}

/* ---- completion ---- */

/* Calls the Lua function complete(line), which gives the text to insert and the choices to show, or
 * nils. It is found in the registry under the console's address. */
static void complete(peri_editor *editor, const char *line, size_t length, void *user) {
  console *terminal = user;
  lua_State *L = terminal->L;
  if (!lua_checkstack(L, 8)) return;
  int top = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, terminal);
  lua_pushlstring(L, line, length);
  if (peri_program_call(L, 1, 2, 0) == LUA_OK) {
    const char *inserted = lua_tostring(L, -2), *choices = lua_tostring(L, -1);
    if (inserted) peri_editor_insert(editor, inserted);
    if (choices) peri_editor_list(editor, choices);
  }
  lua_settop(L, top);
}

/* ---- the whole ---- */

static console *push_console(lua_State *L, bool interactive) {
  console *terminal = lua_newuserdatauv(L, sizeof(*terminal), 0);
  *terminal = (console){.L = L, .interactive = interactive};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_console);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return terminal;
}

void peri_repl(lua_State *L, bool interactive) {
  int top = lua_gettop(L);
  console *terminal = push_console(L, interactive);
  push_functions(L, -1, interactive);
  lua_getfield(L, -1, "load");
  lua_pushliteral(L, "program.repl");
  lua_call(L, 1, 2); /* the loop, and the function for Tab */
  lua_rawsetp(L, LUA_REGISTRYINDEX, terminal);
  if (interactive) {
    const char *history = push_history_path(L);
    terminal->editor = peri_editor_open(history, complete, terminal);
    lua_pop(L, 1);
  }
  lua_call(L, 0, 0);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, terminal);
  if (terminal->editor) peri_editor_close(terminal->editor);
  terminal->editor = NULL;
  lua_settop(L, top);
}
