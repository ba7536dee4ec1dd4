/* Replays (replay.c), for what makes many steps in one call. */
#ifndef PERI_BIND_REPLAY_H
#define PERI_BIND_REPLAY_H

#include "bind.h"
#include "plan/plan.h"

/* peri.replay */
int bind_replay_new(lua_State *L);
/* again(replay, ...) -> what the replay gives under no_grad, where a plan fits; else nothing, and the step is not
 * called
 */
int bind_replay_again(lua_State *L);
/* Which plan of the replay at index would be replayed for tensors of n layouts, which are its first arguments, and the
 * values from stack index `first` to the top; but for the tensors' values. It lasts until the replay is called. NULL:
 * none. */
peri_plan *bind_replay_find(lua_State *L, bind_state *S, int index, int n, const peri_layout *layouts, int first);

#endif
