/* What the program's two halves share: program.c reads the command line and runs scripts, repl.c
 * talks to a person. Neither is part of the module. */
#ifndef PERI_BINDINGS_PROGRAM_H
#define PERI_BINDINGS_PROGRAM_H

#include <lua.h>
#include <stdbool.h>

/* lua_pcall during which Ctrl-C stops the computation: the state's cancellation flag is raised, for a
 * kernel that is running, and a hook raises "interrupted!" at the next step of Lua. A second Ctrl-C
 * ends the process. Afterwards no trace of an interruption is left. */
int peri_program_call(lua_State *L, int arguments, int results, int handler);

/* Reads, evaluates and prints until the end of the input. With interactive the input is a terminal:
 * lines are edited, completed and remembered; without, they are read as they come and no prompt is
 * written. Raises only when there is no memory. */
void peri_repl(lua_State *L, bool interactive);

#endif
