/* What the program's parts share: program.c reads the command line and runs scripts, repl.c talks to a
 * person, interrupt.c is Ctrl-C, host.c what the program's Lua files are given. None of them is part of the module. */
#ifndef PERI_BINDINGS_PROGRAM_H
#define PERI_BINDINGS_PROGRAM_H

#include <lua.h>
#include <perilune/lua.h>
#include <perilune/perilune.h>
#include <stdbool.h>

/* ---- the module's library ---- */

#define PERI_MODULE_CALLS(CALL)                                                                                        \
  CALL(luaopen_perilune)                                                                                               \
  CALL(peri_lua_context)                                                                                               \
  CALL(peri_set_threads)                                                                                               \
  CALL(peri_cancel)                                                                                                    \
  CALL(peri_clear_cancel)

/* Its functions, once it is loaded. */
#define PERI_MODULE_MEMBER(name) __typeof__(name) *name;
extern struct peri_module { PERI_MODULE_CALLS(PERI_MODULE_MEMBER) } module;

/* ---- Ctrl-C ---- */

/* Before anything makes a Lua thread; false when there is no memory. */
bool peri_interrupt_open(lua_State *L);
/* The context whose flag is raised too. */
void peri_interrupt_context(peri_context *context);
/* From here on Ctrl-C never ends the program: there is a prompt, or there will be one. */
void peri_interrupt_keep(void);
/* From here on it does, and the context is not used. */
void peri_interrupt_end(void);
/* Whether Ctrl-C was pressed outside of calls since it was last asked for. */
bool peri_interrupt_came(void);
/* A Lua function: an operation of the module is about to raise the interruption. */
int peri_interrupt_delivered(lua_State *L);

/* lua_pcall during which Ctrl-C stops the computation: the context's flag is raised, for a kernel or an operation, and
 * a hook raises "interrupted!" at the next step of Lua, in whichever coroutine. A script may catch that error once;
 * after a second Ctrl-C the call ends. Where neither the flag nor the hook is looked at (in a C function, in a
 * finaliser), the second Ctrl-C ends the process, but never one that has a prompt. What was pressed before the call
 * counts for it. Afterwards no trace of an interruption is left. */
int peri_program_call(lua_State *L, int arguments, int results, int handler);

/* ---- errors ---- */

/* Adds to the message on the stack's top what the module can say of it. */
void peri_add_hint(lua_State *L);
/* Pushes what a message shows of an error that is no string: "(error object is a table value: {code = 3})". */
void peri_push_error_object(lua_State *L, int index);
/* Pushes the result of the embedded file of that name ("internal.text"), called without arguments. */
void peri_load_source(lua_State *L, const char *name);

/* ---- the program's Lua files ---- */

/* Pushes the table of functions that they are called with. */
void peri_push_host(lua_State *L);

/* ---- the terminal ---- */

/* A Lua function: how many characters fit into a line of the terminal, or as COLUMNS says; 80 where nobody knows. */
int peri_columns(lua_State *L);

/* Whether errors are coloured: stderr is a terminal that can, and NO_COLOR is not set. */
bool peri_colours(void);

/* ---- the prompt ---- */

/* Reads, evaluates and prints until the end of the input. With interactive the input is a terminal:
 * lines are edited, completed and remembered; without, they are read as they come and no prompt is
 * written. Raises only when there is no memory. */
void peri_repl(lua_State *L, bool interactive);

#endif
