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
 *   write(path, bytes)  ->  true, or nil, message      whole or not at all (peri_file_write_atomic)
 *   mkdir(path)         ->  true, or nil, message      with its parents; it may exist already
 *   list(path)          ->  names, or nil, message     what a folder holds, in no order
 *
 * While programs run, the state's cancellation flag is polled: when it is raised they are killed
 * and the call raises. Nothing stays behind after any error: no child, no descriptor, no memory. */
void bind_open_process(lua_State *L, bind_state *S);

#endif
