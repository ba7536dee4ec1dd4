/* The graph behind a tensor as tables. A finaliser may free it meanwhile: nodes are held, and what hangs on them is
 * read at its place. */
#include "graph.h"
#include "autograd/autograd.h"
#include "ops/node.h"

#include <string.h>

typedef struct graph_nodes {
  peri_context *context;
  peri_node **nodes;
  size_t n;
} graph_nodes;

static int collect_nodes(lua_State *L) {
  graph_nodes *g = lua_touserdata(L, 1);
  if (g->nodes != NULL) peri_graph_release(g->context, &g->nodes, g->n);
  return 0;
}

static graph_nodes *push_nodes(lua_State *L, bind_state *S, peri_tensor *root, const char *operation) {
  graph_nodes *g = bind_push_box(L, sizeof *g, collect_nodes);
  g->context = S->context;
  BIND_TRY(L, S, peri_graph_nodes(root, operation, &g->nodes, &g->n));
  return g;
}

static void push_shape(lua_State *L, const peri_layout *layout) {
  lua_createtable(L, layout->ndim, 0);
  for (int d = 0; d < layout->ndim; d++) {
    lua_pushinteger(L, layout->shape[d]);
    lua_rawseti(L, -2, d + 1);
  }
}

/* The argument that edge `edge` is, and its place in a list of tensors from 1, else 0. */
static int argument_of(const peri_node *node, int edge, int *place) {
  for (int i = 0; i < node->params; i++) {
    bool list = node->op->params[i].kind == PERI_KIND_TENSORS;
    int here = list ? node->args[i].count : 1;
    *place = list ? edge + 1 : 0;
    if (edge < here) return i;
    edge -= here;
  }
  *place = 0;
  return -1;
}

/* Pushes a tensor that has its elements and no graph, or nil. */
static void push_value(lua_State *L, bind_state *S, peri_tensor *const *place) {
  peri_tensor **handle = bind_new_tensor(L, S);
  if (*place == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
    return;
  }
  BIND_TRY(L, S, peri_tensor_detach(*place, handle));
}

/* An edge without tensor is false. The table with the places of nodes is at `places`. */
static void push_edge(lua_State *L, bind_state *S, peri_node *node, int i, int places) {
  peri_edge *edge = &node->edge[i];
  int place, argument = argument_of(node, i, &place);
  if (edge->layout.numel == 0 && edge->layout.ndim == 0 && edge->node == NULL && edge->leaf == NULL) {
    lua_pushboolean(L, 0);
    return;
  }
  lua_createtable(L, 0, 6);
  if (edge->node != NULL) {
    lua_rawgetp(L, places, edge->node);
    lua_setfield(L, -2, "node");
    lua_pushinteger(L, edge->output + 1);
    lua_setfield(L, -2, "output");
  } else if (edge->leaf != NULL) {
    bind_push_tensor(L, S, &edge->leaf);
    lua_setfield(L, -2, "leaf");
  }
  push_shape(L, &edge->layout);
  lua_setfield(L, -2, "shape");
  lua_pushstring(L, peri_dtype_name(edge->layout.dtype));
  lua_setfield(L, -2, "dtype");
  if (argument < 0) return;
  const char *name = node->op->params[argument].name;
  if (place > 0)
    lua_pushfstring(L, "%s[%d]", name, place);
  else
    lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  if (place > 0) return;
  push_value(L, S, &node->args[argument].tensor);
  lua_setfield(L, -2, "value");
}

/* Pushes the row's name, with the activation that it was to compute as well: "linear + tanh". */
static void push_name(lua_State *L, const peri_node *node) {
  lua_pushstring(L, peri_node_name(node));
  for (int i = 0; i < node->params; i++) {
    if (strcmp(node->op->params[i].name, "activation") != 0 || node->args[i].integer == 0) continue;
    const char *word = node->op->params[i].choices;
    for (int64_t k = node->args[i].integer; k > 0; k--) word += strcspn(word, " ") + 1;
    lua_pushliteral(L, " + ");
    lua_pushlstring(L, word, strcspn(word, " "));
    lua_concat(L, 3);
  }
}

static void push_node(lua_State *L, bind_state *S, peri_node *node, int places) {
  lua_createtable(L, 0, 5);
  push_name(L, node);
  lua_setfield(L, -2, "op");
  lua_pushstring(L, node->where);
  lua_setfield(L, -2, "where");
  lua_pushinteger(L, node->output_count);
  lua_setfield(L, -2, "outputs");
  lua_createtable(L, node->edges, 0);
  for (int i = 0; i < node->edges; i++) {
    push_edge(L, S, node, i, places);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "edges");
  push_value(L, S, &node->outputs[0]);
  lua_setfield(L, -2, "value");
}

int bind_graph(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, 1);
  const graph_nodes *g = push_nodes(L, S, bind_check_tensor(L, S, 1, "explain", "x"), "explain");
  lua_newtable(L);
  int places = lua_gettop(L);
  for (size_t i = 0; i < g->n; i++) {
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_rawsetp(L, places, g->nodes[i]);
  }
  lua_newtable(L);
  for (size_t i = 0; i < g->n; i++) {
    push_node(L, S, g->nodes[i], places);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int bind_leaves(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, 1);
  peri_tensor *root = bind_check_tensor(L, S, 1, "checkpoint", "y");
  const graph_nodes *g = push_nodes(L, S, root, "checkpoint");
  lua_newtable(L);
  int list = lua_gettop(L);
  lua_newtable(L);
  lua_Integer n = 0;
  if (root->node == NULL && root->requires_grad) {
    lua_pushvalue(L, 1);
    lua_rawseti(L, list, ++n);
  }
  for (size_t i = 0; i < g->n; i++) {
    for (int k = 0; k < g->nodes[i]->edges; k++) {
      peri_edge *edge = &g->nodes[i]->edge[k];
      if (edge->leaf == NULL) continue;
      const void *leaf = edge->leaf;
      bool seen = lua_rawgetp(L, list + 1, leaf) != LUA_TNIL;
      lua_pop(L, 1);
      if (seen) continue;
      bind_push_tensor(L, S, &edge->leaf);
      lua_rawseti(L, list, ++n);
      lua_pushboolean(L, 1);
      lua_rawsetp(L, list + 1, leaf);
    }
  }
  lua_settop(L, list);
  return 1;
}
