/* The graph behind a tensor as tables, for what is written in Lua (internal.autograd). */
#ifndef PERI_BIND_GRAPH_H
#define PERI_BIND_GRAPH_H

#include "bind.h"

/* graph(root) -> list of nodes, latest first: {op =, where =, outputs =, edges = {..}}. An edge is {node = its place in
 * the list, output =} or {leaf = tensor}, each with shape, dtype and name; where the node saved its input, also value.
 */
int bind_graph(lua_State *L);
/* leaves(root) -> list of the leaves that require grad */
int bind_leaves(lua_State *L);

#endif
