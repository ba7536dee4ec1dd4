/* The standalone program: what lua 5.4 takes on the command line, and --threads.
 *
 * The module is the library libperilune_lua beside the program, or in ../lib when installed. It waits in
 * package.preload and is opened when a script first requires it: a script that does not costs no more
 * than Lua itself, and what OpenBLAS does when it is loaded can be told by then. Scripts get no global
 * that lua would not give them. */
#include "program.h"
#include "bindings/core/lua_sources.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int wanted_threads; /* --threads; 0 leaves the context's own choice */

typedef struct command_line {
  int script; /* index of the script in argv, argc when there is none */
  bool interactive, version, ignore_environment, execute, help, long_version;
  const char *bad;    /* the option that is wrong, or NULL */
  const char *reason; /* what is wrong with it */
} command_line;

static void say(const char *message) {
  fflush(stdout);
  fprintf(stderr, "perilune: %s\n", message);
}

/* ---- the module's library ---- */

struct peri_module module;

static bool find_call(void *library, const char *name, void *slot) {
  void *symbol = dlsym(library, name);
  memcpy(slot, &symbol, sizeof(symbol)); /* POSIX: pointers to functions and to data are alike */
  return symbol != NULL;
}

/* OpenBLAS starts its threads while it is loaded, unless the environment speaks against it. Perilune
 * has it compute with one, so they would only cost time at start and end. Other programs that the
 * script may run are not to inherit this. */
static bool load_module(void) {
  static const char variable[] = "OPENBLAS_NUM_THREADS";
  bool set = !getenv(variable) && setenv(variable, "1", 0) == 0;
  void *library = dlopen(PERI_MODULE_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  if (set) unsetenv(variable);
#define AND_FIND(name) &&find_call(library, #name, &module.name)
  return library PERI_MODULE_CALLS(AND_FIND);
}

int peri_columns(lua_State *L) {
  const char *wanted = getenv("COLUMNS");
  long n = wanted != NULL ? strtol(wanted, NULL, 10) : 0;
  struct winsize size;
  if ((n < 1 || n > 10000) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) n = size.ws_col;
  lua_pushinteger(L, n < 1 || n > 10000 ? 80 : n);
  return 1;
}

bool peri_colours(void) {
  const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
  return (none == NULL || none[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

/* package.preload.perilune: opens the module, and lets Ctrl-C and --threads reach its context. */
static int open_module(lua_State *L) {
  if (!load_module()) return luaL_error(L, "cannot load the module: %s", dlerror());
  int results = module.luaopen_perilune(L);
  peri_context *context = module.peri_lua_context(L);
  peri_interrupt_context(context);
  if (wanted_threads) module.peri_set_threads(context, wanted_threads);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_setfield(L, LUA_REGISTRYINDEX, "perilune.randomseed"); /* for peri.manual_seed */
  lua_pushcfunction(L, peri_interrupt_delivered);
  lua_setfield(L, LUA_REGISTRYINDEX, "perilune.interrupt_delivered");
  lua_pushcfunction(L, peri_columns);
  lua_setfield(L, LUA_REGISTRYINDEX, "perilune.columns"); /* for tensors that are printed */
  lua_pop(L, 2);
  return results;
}

/* ---- calls and their errors ---- */

void peri_load_source(lua_State *L, const char *name) {
  const struct peri_lua_source *source = peri_lua_sources;
  while (source->name != NULL && strcmp(source->name, name) != 0) source++;
  if (source->name == NULL) luaL_error(L, "no embedded file '%s'", name);
  lua_pushfstring(L, "=[%s]", name);
  if (luaL_loadbufferx(L, source->text, source->size, lua_tostring(L, -1), "t") != LUA_OK) lua_error(L);
  lua_remove(L, -2);
  lua_call(L, 0, 1);
}

/* text_of(value, width) */
static int text_of(lua_State *L) {
  peri_load_source(L, "internal.text");
  lua_insert(L, 1);
  lua_pushinteger(L, 1000);
  lua_call(L, 2, 1);
  return 1;
}

void peri_push_error_object(lua_State *L, int index) {
  index = lua_absindex(L, index);
  const char *kind = luaL_typename(L, index);
  lua_pushcfunction(L, text_of);
  lua_pushvalue(L, index);
  bool told = lua_type(L, index) == LUA_TTABLE && lua_pcall(L, 1, 1, 0) == LUA_OK;
  lua_pushfstring(L, told ? "(error object is a %s value: %s)" : "(error object is a %s value)", kind,
                  told ? lua_tostring(L, -1) : "");
  lua_replace(L, index + 1);
  lua_settop(L, index + 1);
}

/* hint(message), by the module's help.hint. */
static int ask_module(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "perilune.internal");
  lua_getfield(L, 2, "load");
  lua_pushliteral(L, "help.hint");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "perilune");
  lua_remove(L, -2);
  lua_pushvalue(L, 2);
  lua_call(L, 3, 1);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

void peri_add_hint(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  if (strstr(message, " a nil value (") == NULL) return;
  if (strstr(message, "(global 'peri')") != NULL) {
    lua_pushliteral(L, " (scripts begin with: local peri = require \"perilune\")");
  } else if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.internal") != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  } else {
    lua_pushcfunction(L, ask_module);
    lua_replace(L, -2);
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
      lua_pop(L, 1);
      return;
    }
  }
  lua_concat(L, 2);
}

/* explain(message, traceback), by program.errors. */
static int explain_calls(lua_State *L) {
  peri_load_source(L, "program.errors");
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* The message with its traceback is on the top: where calls of the module's own Lua code are among them, without these.
 */
static int own_calls_left_out(lua_State *L) {
  const char *text = lua_tostring(L, -1), *calls = strstr(text, "\nstack traceback:\n");
  if (calls == NULL || strstr(calls, "\n\tperilune/") == NULL) return 1;
  lua_pushcfunction(L, explain_calls);
  lua_pushlstring(L, text, (size_t)(calls - text));
  lua_pushstring(L, calls + 1);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) lua_pop(L, 1); /* no memory for it: all calls are shown */
  return 1;
}

/* Message handler: any error value becomes text, with a traceback unless the value has its own text. */
static int explain(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (!message) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    peri_push_error_object(L, 1);
    message = lua_tostring(L, -1);
  } else if (lua_type(L, 1) == LUA_TSTRING) {
    lua_settop(L, 1);
    peri_add_hint(L);
    message = lua_tostring(L, -1);
  }
  luaL_traceback(L, L, message, 1);
  return own_calls_left_out(L);
}

/* Reports the error on top of the stack unless status is LUA_OK; true when it is. */
static bool report(lua_State *L, int status) {
  if (status == LUA_OK) return true;
  const char *message = lua_tostring(L, -1);
  say(message ? message : "(error object is not a string)");
  lua_pop(L, 1);
  return false;
}

static int call(lua_State *L, int arguments, int results) {
  int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, explain);
  lua_insert(L, base);
  int status = peri_program_call(L, arguments, results, base);
  lua_remove(L, base);
  return status;
}

static bool run_text(lua_State *L, const char *text, const char *name) {
  int status = luaL_loadbuffer(L, text, strlen(text), name);
  return report(L, status == LUA_OK ? call(L, 0, 0) : status);
}

/* A NULL path is the standard input. */
static bool run_file(lua_State *L, const char *path) {
  int status = luaL_loadfile(L, path);
  return report(L, status == LUA_OK ? call(L, 0, 0) : status);
}

/* ---- what is run before the script ---- */

static bool run_environment(lua_State *L) {
  const char *name = "=LUA_INIT_5_4";
  const char *text = getenv(name + 1);
  if (!text) text = getenv((name = "=LUA_INIT") + 1);
  if (!text) return true;
  return text[0] == '@' ? run_file(L, text + 1) : run_text(L, text, name);
}

/* -l name, or -l global=name; the global of "name-suffix" is "name". */
static bool require_library(lua_State *L, const char *argument) {
  const char *equals = strchr(argument, '=');
  const char *name = equals ? equals + 1 : argument;
  const char *global_end = equals ? equals : argument + strcspn(argument, "-");
  lua_pushlstring(L, argument, (size_t)(global_end - argument));
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  if (!report(L, call(L, 1, 1))) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return true;
}

/* Executes -e, -l and -W in their order. */
static bool run_options(lua_State *L, char **argv, int end) {
  for (int i = 1; i < end; i++) {
    char option = argv[i][1];
    if (option == 'W') lua_warning(L, "@on", 0);
    if (option == '-' && strcmp(argv[i], "--threads") == 0) i++;
    if (option != 'e' && option != 'l') continue;
    const char *argument = argv[i][2] ? argv[i] + 2 : argv[++i];
    if (!(option == 'e' ? run_text(L, argument, "=(command line)") : require_library(L, argument))) return false;
  }
  return true;
}

/* ---- the command line ---- */

static const char usage[] =
    "usage: perilune [options] [script [args]]\n"
    "       perilune export | kernel | new | notebook | watch [args]   (--help says more of each)\n"
    "  -e stat       execute string 'stat'\n"
    "  -i            enter interactive mode after executing 'script'\n"
    "  -l mod        require library 'mod' into global 'mod'\n"
    "  -l g=mod      require library 'mod' into global 'g'\n"
    "  -v            show version information\n"
    "  -E            ignore environment variables\n"
    "  -W            turn warnings on\n"
    "  --threads N   compute with N threads\n"
    "  --version     show version information and leave\n"
    "  --help        show this text and leave\n"
    "  --            stop handling options\n"
    "  -             stop handling options and execute stdin\n"
    "Without script and options a terminal gets the interactive mode. There peri and help\n"
    "are at hand; scripts and -e begin with: local peri = require \"perilune\"\n";

static bool parse_threads(const char *text) {
  char *end;
  long n = text ? strtol(text, &end, 10) : 0;
  if (n < 1 || n > 1024 || *end) return false;
  wanted_threads = (int)n;
  return true;
}

/* A long option at argv[i]; gives the index of its last word, or 0 when it is wrong. */
static int parse_long(command_line *line, char **argv, int i) {
  const char *name = argv[i];
  line->bad = name;
  line->reason = "unrecognized option";
  if (strcmp(name, "--help") == 0) {
    line->help = true;
  } else if (strcmp(name, "--version") == 0) {
    line->long_version = true;
  } else if (strncmp(name, "--threads", 9) == 0 && (name[9] == '=' || !name[9])) {
    line->reason = "a number from 1 to 1024 is needed after";
    if (!parse_threads(name[9] ? name + 10 : argv[i + 1])) return 0;
    if (!name[9]) i++;
  } else {
    return 0;
  }
  line->bad = NULL;
  return i;
}

/* One word of short form at argv[i]; gives the index of its last word, or 0 when it is wrong. */
static int parse_short(command_line *line, char **argv, int i) {
  const char *word = argv[i];
  line->bad = word;
  line->reason = "unrecognized option";
  if (word[1] == 'e' || word[1] == 'l') {
    line->execute |= word[1] == 'e';
    line->reason = "an argument is needed after";
    if (!word[2] && (!argv[i + 1] || argv[i + 1][0] == '-')) return 0;
    if (!word[2]) i++;
  } else if (word[2] || !strchr("iEvW", word[1])) {
    return 0;
  }
  line->interactive |= word[1] == 'i';
  line->version |= word[1] == 'i' || word[1] == 'v';
  line->ignore_environment |= word[1] == 'E';
  line->bad = NULL;
  return i;
}

static command_line parse(int argc, char **argv) {
  command_line line = {.script = argc};
  for (int i = 1; i < argc; i++) {
    line.script = i;
    if (argv[i][0] != '-' || !argv[i][1]) return line; /* a script, or "-" */
    if (strcmp(argv[i], "--") == 0) {
      line.script = i + 1;
      return line;
    }
    i = argv[i][1] == '-' ? parse_long(&line, argv, i) : parse_short(&line, argv, i);
    if (line.bad) return line;
  }
  line.script = argc;
  return line;
}

/* ---- the script ---- */

/* The global arg: the script at 0, its arguments from 1, all that stands before it below 0. */
static void set_arg(lua_State *L, int argc, char **argv, int script) {
  if (script == argc) script = 0;
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) return luaL_error(L, "'arg' is not a table");
  int n = (int)luaL_len(L, -1);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, -i, i);
  lua_remove(L, -(n + 1));
  return n;
}

static bool run_script(lua_State *L, char **argv, int script) {
  const char *path = argv[script];
  if (strcmp(path, "-") == 0 && strcmp(argv[script - 1], "--") != 0) path = NULL;
  int status = luaL_loadfile(L, path);
  if (status == LUA_OK) status = call(L, push_arguments(L), 0);
  return report(L, status);
}

/* A word in the script's place may be a command of the program's own: bindings/lua/program/tools.lua. False: it is
 * none, or it failed, which `done` tells. */
static bool run_tool(lua_State *L, int argc, char **argv, int first, bool *done) {
  if (strpbrk(argv[first], "./-") != NULL) return false;
  int base = lua_gettop(L);
  peri_push_host(L);
  lua_getfield(L, -1, "load");
  lua_pushliteral(L, "program.tools");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, argv[first]);
  bool known = !lua_isnil(L, -1);
  if (known) {
    luaL_checkstack(L, argc - first, "too many arguments");
    for (int i = first + 1; i < argc; i++) lua_pushstring(L, argv[i]);
    *done = report(L, call(L, argc - first - 1, 0));
  }
  lua_settop(L, base);
  return known;
}

static void open_state(lua_State *L, const command_line *line, int argc, char **argv) {
  if (line->ignore_environment) {
    lua_pushboolean(L, true); /* package.path and package.cpath then keep their defaults */
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as lua does: most tensors die young */
  set_arg(L, argc, argv, line->script);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_module);
  lua_setfield(L, -2, "perilune");
  lua_pop(L, 1);
}

static void print_version(void) {
  printf("Perilune %s, %s\n", PERI_VERSION, LUA_RELEASE);
  fflush(stdout);
}

static bool run(lua_State *L, int argc, char **argv) {
  command_line line = parse(argc, argv);
  if (line.bad) {
    say(lua_pushfstring(L, "%s '%s'", line.reason, line.bad));
    fputs(usage, stderr);
    return false;
  }
  if (line.help) return fputs(usage, stdout) >= 0;
  bool terminal = isatty(STDIN_FILENO);
  bool alone = line.script == argc && !line.interactive && !line.execute && !line.version;
  if (line.long_version || (line.version && (terminal || !line.interactive)) || (alone && terminal)) print_version();
  if (line.long_version) return true;
  bool talks = line.interactive || (alone && terminal);
  if (talks) peri_interrupt_keep();
  open_state(L, &line, argc, argv);
  if (!line.ignore_environment && !run_environment(L)) return false;
  if (!run_options(L, argv, line.script)) return false;
  bool done = true;
  if (line.script < argc && run_tool(L, argc, argv, line.script, &done)) return done;
  if (line.script < argc && !run_script(L, argv, line.script)) {
    if (!line.interactive) return false;
  }
  if (talks) {
    peri_repl(L, terminal);
  } else if (alone) {
    return run_file(L, NULL);
  }
  return true;
}

static int protected_main(lua_State *L) {
  lua_pushboolean(L, run(L, (int)lua_tointeger(L, 1), lua_touserdata(L, 2)));
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L || !peri_interrupt_open(L)) {
    say("cannot create a Lua state: not enough memory");
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  bool done = report(L, lua_pcall(L, 2, 1, 0)) && lua_toboolean(L, -1);
  peri_interrupt_end(); /* closing the state ends the context */
  lua_close(L);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    say("what was printed could not be written");
    done = false;
  }
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
