/* Optimisers and schedules as Lua sees them: what bindings/optim.c and optim_schedule.c share. Every
 * function here has the optim_state as its second upvalue. */
#ifndef PERI_BIND_OPTIM_H
#define PERI_BIND_OPTIM_H

#include "bind.h"
#include "optim/optim.h"

/* lua_topointer of the metatables, which are also their keys in the registry. */
typedef struct optim_state {
  const void *optimizer_meta, *schedule_meta;
} optim_state;

static inline optim_state *optim_here(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(2)); }
bool optim_has_metatable(lua_State *L, int index, const void *meta);
/* The optimiser at stack index 1; raises when there is none. */
peri_optimizer *optim_check_optimizer(lua_State *L, const char *operation);
/* A whole number from 0 in a state dictionary. */
double optim_read_count(lua_State *L, bind_state *S, int state, const char *name);

/* Makes a metatable, kept in the registry under its address, which is returned. Every metamethod has
 * the table of methods as its third upvalue; the optim_state lies at stack index `state`. */
const void *optim_make_metatable(lua_State *L, bind_state *S, int state, const char *name, lua_CFunction collect,
                                 const bind_function *methods, const luaL_Reg *metamethods);
/* Puts a constructor, whose third upvalue is its kind, into the table on the stack's top. */
void optim_set_constructor(lua_State *L, bind_state *S, int state, lua_CFunction function, const void *kind,
                           const char *name, const char *doc);
/* Adds {name, doc, options} as entry n to the list on the stack's top. */
void optim_add_kind(lua_State *L, int n, const char *name, const char *doc, const peri_option *options);
/* With the module's table on the stack's top: lr_scheduler and schedules. */
void optim_open_schedules(lua_State *L, bind_state *S, int state);

#endif
