/* What peri.data is made of: each file opens its part. */
#ifndef PERI_BIND_DATA_H
#define PERI_BIND_DATA_H

#include "bindings/core/bind.h"

/* With peri.data on the stack's top. */
void data_open_sets(lua_State *L, bind_state *S);
void data_open_formats(lua_State *L, bind_state *S);
void data_open_loader(lua_State *L, bind_state *S);
/* With the module's table on the stack's top: load_NAME and save_NAME of some formats. */
void data_open_files(lua_State *L, bind_state *S);
/* The tensors of a loader, for lua/train. */
int data_loader_tensors(lua_State *L);
/* What lua/data/csv.lua calls, having checked its options. */
int data_read_csv(lua_State *L);
int data_write_csv(lua_State *L);

#endif
