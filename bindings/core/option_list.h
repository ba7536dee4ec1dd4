/* Options of rows as Lua values: for fields, texts and the lists that help and tests read. */
#ifndef PERI_BIND_OPTION_LIST_H
#define PERI_BIND_OPTION_LIST_H

#include "bind.h"

/* Pushes one value: a number, an integer, a boolean or a word. */
void bind_push_option(lua_State *L, const peri_option *option, double value);
/* The value of the option of that name, pushed; false (nothing pushed) when there is none. */
bool bind_push_named_option(lua_State *L, const peri_option *options, const double *values, const char *name);
/* Pushes a list of {name, default, choices, doc}; an option that must be given has no default. */
void bind_push_options(lua_State *L, const peri_option *options);
/* Adds "name = value" of those that differ from their defaults to a list of strings on the top. */
void bind_add_option_texts(lua_State *L, const peri_option *options, const double *values);
/* Replaces the list of strings on the top by one string: its entries with separators between them. */
void bind_join(lua_State *L, const char *separator);

#endif
