/* Optimisers and schedules as Lua sees them.
 *
 *   optim.c      optimisers: making them, methods, fields
 *   groups.c     groups of parameters: reading them, and the objects in optimizer.param_groups
 *   state.c      state dictionaries of optimisers
 *   written.c    optimisers written in Lua (with bindings/lua/optim.lua)
 *   schedule.c   schedules */
#ifndef PERI_BIND_OPTIM_H
#define PERI_BIND_OPTIM_H

#include "bindings/core/bind.h"
#include "bindings/core/state_dict.h"
#include "optim/optim.h"

/* What the userdata of an optimiser written in Lua keeps; the others keep nothing. */
enum {
  OPTIM_CLASS = 1, /* its class, a table */
  OPTIM_FIELDS,    /* what the script assigned to it, a table */
  OPTIM_BUFFERS,   /* tensors of the whole: names in order, and by name */
  OPTIM_KIND,      /* the userdata that holds its kind */
  OPTIM_VALUES = OPTIM_KIND
};

/* The optimiser at stack index 1; raises when there is none. */
peri_optimizer *optim_check_optimizer(lua_State *L, const char *operation);
static inline bool optim_is_written(const peri_optimizer *optimizer) { return optimizer->kind->prepare == NULL; }
/* A whole number from 0 in a state dictionary. */
double optim_read_count(lua_State *L, bind_state *S, int state, const char *name);

/* Adds {name, doc, options} as entry n to the list on the stack's top. */
void optim_add_kind(lua_State *L, int n, const char *name, const char *doc, const peri_option *options);

/* ---- making and fields ---- */

/* An optimiser of parameters (a list of tensors or of groups) and options at these indices, whose userdata keeps so
 * many values: pushes it. */
peri_optimizer *optim_new(lua_State *L, bind_state *S, const peri_optimizer_kind *kind, int parameters, int options,
                          int values);
/* Reads the value at index as a new value of the option `name` of a group; false when there is none of that name. */
bool optim_set_option(lua_State *L, bind_state *S, peri_optimizer *optimizer, int64_t group, const char *name,
                      int index);
/* optimizer:add_param_group(group) */
int optim_add_param_group(lua_State *L);
/* Pushes the list optimizer.param_groups of the optimiser at stack index 1. */
void optim_push_groups(lua_State *L, bind_state *S, const peri_optimizer *optimizer);
void optim_open_groups(lua_State *L, bind_state *S);
/* "2 parameters, {lr = 0.1}" */
void optim_push_group_text(lua_State *L, const peri_optimizer *optimizer, int64_t group);

/* ---- state dictionaries ---- */

int optim_state_dict(lua_State *L);
int optim_load_state_dict(lua_State *L);
/* optimizer:state(parameter) */
int optim_state(lua_State *L);
/* Pushes {step =, buffers, number} of a parameter, the tensors themselves. */
void optim_push_slot(lua_State *L, bind_state *S, peri_optimizer *optimizer, int64_t slot);

/* ---- optimisers written in Lua ---- */

/* The rows of internal.optim that optim.lua uses. */
int optim_written_kind(lua_State *L);
int optim_written_make(lua_State *L);
int optim_written_ready(lua_State *L);
int optim_written_sizes(lua_State *L);
int optim_written_options(lua_State *L);
int optim_written_entry(lua_State *L);
int optim_written_keep(lua_State *L);
int optim_written_assign(lua_State *L);
/* The optimiser on the stack's top, made with OPTIM_VALUES, becomes one of the class at index; calls the class's init.
 */
void optim_written_adopt(lua_State *L, int class);
/* Pushes the field at stack index 2 of the optimiser at 1: of its class or its own; false, and nothing is pushed, when
 * there is none. */
bool optim_written_index(lua_State *L);
/* Assigns what stands at stack index 3. */
int optim_written_newindex(lua_State *L, bind_state *S, peri_optimizer *optimizer);

/* ---- schedules ---- */

/* With the module's table on the stack's top: lr_scheduler and schedules. */
void optim_open_schedules(lua_State *L, bind_state *S);
int optim_schedule_drives(lua_State *L);

#endif
