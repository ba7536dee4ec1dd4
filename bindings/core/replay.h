/* Replays (replay.c), for what makes many steps in one call. */
#ifndef PERI_BIND_REPLAY_H
#define PERI_BIND_REPLAY_H

#include "bind.h"

/* peri.replay */
int bind_replay_new(lua_State *L);
/* A C function with the state as upvalue: find(replay, ...) -> which plan would be replayed with the arguments, a
 * peri_plan that lasts until the replay is called, or nothing. */
int bind_replay_find(lua_State *L);

#endif
