/* What the epochs of one training (steps.c) and of many (crew.c) have in common: the record of an epoch, which is
 * tables of the script's. */
#ifndef PERI_BIND_STEPS_H
#define PERI_BIND_STEPS_H

#include "epoch.h"

/* Of the tables `at` and `how`, and the loader. */
void steps_read_epoch(lua_State *L, bind_state *S, data_epoch *e, int loader, int at, int how);
/* Into `at`. */
void steps_write_epoch(lua_State *L, const data_epoch *e, int at);
void steps_set_whole(lua_State *L, int index, const char *name, double value);
void steps_set_number(lua_State *L, int index, const char *name, double value);
/* Looks for the plans of all that is left of the epoch, as far as there is room. */
void steps_know_all(lua_State *L, bind_state *S, int replay, data_epoch *e);
/* How it has ended, as scripts have it; not DATA_FAILED. */
void steps_push_said(lua_State *L, const data_epoch *e, data_said said);

/* Functions of internal.steps, in crew.c. */
int steps_new_crew(lua_State *L);
int steps_together(lua_State *L);

#endif
