/* The parts of the module (peri.nn, peri.plot, ...): one table says which there are, what opens them, and with which
 * title and introduction help and the reference show them. */
#ifndef PERI_BIND_PARTS_H
#define PERI_BIND_PARTS_H

#include "bind.h"

/* Lets the module's table, at the stack position `module`, open its parts when they are first asked for, and gives the
 * internal table what has to do with them: load, part, parts, and parts of its own. */
void bind_open_parts(lua_State *L, bind_state *S, int module);

#endif
