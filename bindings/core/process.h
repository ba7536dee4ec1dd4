/* Other programs, run without a shell, and the file operations that their results need.
 *
 * What plot.lua and its like call as internal.process. No text ever passes a shell: a program is
 * started with its list of arguments, and all that it reads and writes goes through pipes. */
#ifndef PERI_BINDINGS_PROCESS_H
#define PERI_BINDINGS_PROCESS_H

#include "bind.h"

/* Pushes a table of functions:
 *
 *   run{argv = {"name", ...}, input = bytes}  ->  status, stdout, stderr
 *     argv[1] is looked up in PATH. status is the exit status, or 128 plus the signal that ended the
 *     program. When it cannot be started: nil, message, missing (true when there is no such program).
 *   run_all({job, ...}, at_once, ended)  ->  {{status =, stdout =, stderr =} or {error =, missing =}, ...}
 *     the same for several programs, at_once (all) of them side by side; returns when all have ended.
 *     ended(i, result) is called as each of them has.
 *   read(path)          ->  bytes, or nil, message
 *   exists(path)        ->  boolean
 *   write(path, bytes)  ->  true, or nil, message      whole or not at all (peri_file_write_atomic)
 *   mkdir(path)         ->  true, or nil, message      with its parents; it may exist already
 *   new_folder(path)    ->  true, or nil, message      false when something is there already
 *   list(path)          ->  names, times, or nil, message
 *     what a folder holds, in no order; times[name] is when it was last written, in nanoseconds
 *   is_terminal(descriptor)  ->  boolean
 *   terminal_pictures()  ->  "kitty", "sixel" or nil
 *     the protocol that the terminal at standard input and output says it has; nothing is written to anything else
 *
 * Where the context is confined to a folder (data/place.h), paths lie in it, and programs are an error.
 *
 * While programs run, the state's cancellation flag is polled: when it is raised they are killed
 * and the call raises. Nothing stays behind after any error: no child, no descriptor, no memory. */
void bind_open_process(lua_State *L, bind_state *S);

/* ---- within process.c, folders.c and terminal.c ---- */

/* The metatable `name` of handles that `close` ends, as often as it is called: __close on every way out of a call, and
 * __gc for a state that is torn down. */
void bind_open_closing(lua_State *L, const char *name, lua_CFunction close);
/* Puts terminal_pictures into the table on the top. */
void bind_open_terminal(lua_State *L);
/* Puts what is about files and folders into the table on the top. */
void bind_open_folders(lua_State *L, bind_state *S);

#endif
