/* Optimisers and schedules as Lua sees them: what bindings/optim.c and optim_schedule.c share. */
#ifndef PERI_BIND_OPTIM_H
#define PERI_BIND_OPTIM_H

#include "bindings/core/bind.h"
#include "optim/optim.h"

/* The optimiser at stack index 1; raises when there is none. */
peri_optimizer *optim_check_optimizer(lua_State *L, const char *operation);
/* A whole number from 0 in a state dictionary. */
double optim_read_count(lua_State *L, bind_state *S, int state, const char *name);

/* Adds {name, doc, options} as entry n to the list on the stack's top. */
void optim_add_kind(lua_State *L, int n, const char *name, const char *doc, const peri_option *options);
/* With the module's table on the stack's top: lr_scheduler and schedules. */
void optim_open_schedules(lua_State *L, bind_state *S);
int optim_schedule_drives(lua_State *L);

#endif
