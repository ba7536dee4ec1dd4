/* Options of rows as Lua values: for fields, texts and the lists that help and tests read. Read they are by
 * bind_options (bind.h), which the parts below are for where a table of options is not all there is. */
#ifndef PERI_BIND_OPTION_LIST_H
#define PERI_BIND_OPTION_LIST_H

#include "bind.h"

/* ---- reading ---- */

/* bind_options over values that hold the defaults already. */
void bind_read_options(lua_State *L, int index, const char *operation, const peri_option *options,
                       const char *const *also, double *values);
/* One option, whose value is at index. */
void bind_read_option(lua_State *L, int index, const char *operation, const peri_option *option, double *values);

/* ---- showing ---- */

/* Pushes an option's value: a number, an integer, a boolean, a word or a list of numbers. */
void bind_push_option(lua_State *L, const peri_option *option, const double *values);
/* The value of the option of that name, pushed; false (nothing pushed) when there is none. */
bool bind_push_named_option(lua_State *L, const peri_option *options, const double *values, const char *name);
/* Pushes a list of {name, kind, default, choices, doc, count, like}; an option that must be given, or is like a size,
 * has no default. */
void bind_push_options(lua_State *L, const peri_option *options);
/* Pushes a value as one would write it: 3, {3, 5}, "same". */
const char *bind_push_option_text(lua_State *L, const peri_option *option, const double *values);
/* Adds "name = value" of those that differ from their defaults to a list of strings on the top. */
void bind_add_option_texts(lua_State *L, const peri_option *options, const double *defaults, const double *values);
/* Replaces the list of strings on the top by one string: its entries with separators between them. */
void bind_join(lua_State *L, const char *separator);

#endif
