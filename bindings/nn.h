/* Modules as Lua sees them: layers in C, containers, and objects of classes written in Lua.
 *
 * All three are userdata and share the methods of nn.Module. A layer is one pointer to a peri_layer. A
 * container keeps its children in user values, and beside them pointers to those that are C layers. An
 * object of a Lua class keeps its fields, the order of its children and parameters, and its class in
 * user values. Every function here has the nn_state as its second upvalue. */
#ifndef PERI_BIND_NN_H
#define PERI_BIND_NN_H

#include "bind.h"
#include "nn/nn.h"

/* lua_topointer of the metatables, which are also their keys in the registry. */
typedef struct nn_state {
  const void *layer_meta, *container_meta, *object_meta;
} nn_state;

typedef enum nn_sort { NN_NONE, NN_LAYER, NN_CONTAINER, NN_OBJECT } nn_sort;

typedef struct nn_container {
  bool training;
  bool runs; /* Sequential; a ModuleList only holds */
  int n;
  peri_layer *layers[]; /* references; NULL where the child is no C layer of one input */
} nn_container;

typedef struct nn_object {
  bool training;
} nn_object;
enum {
  NN_FIELDS = 1,
  NN_ORDER,
  NN_CLASS
}; /* an object's user values; the order is a list and the set of its members */

static inline nn_state *nn_here(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(2)); }
/* What the value at index is. */
nn_sort nn_sort_of(lua_State *L, const nn_state *N, int index);
/* The C layer at index, or NULL. */
peri_layer *nn_to_layer(lua_State *L, const nn_state *N, int index);
/* "Linear", "Sequential", "Net": the name of the module at index; may push a string. */
const char *nn_name(lua_State *L, const nn_state *N, int index);
/* A function with the state at stack index `state` as its second upvalue and n further ones from the top. */
void nn_push_function(lua_State *L, bind_state *S, int state, lua_CFunction function, int n);
void nn_set_documented(lua_State *L, bind_state *S, int state, const bind_function *list);
/* Makes the metatable on the stack's top findable by its address, and pops it. */
const void *nn_keep_metatable(lua_State *L);

/* ---- walking through a module and all that it holds, in the order of registration ---- */

typedef struct nn_walk nn_walk;

/* A parameter's place: the module that has it, and which it is there. */
typedef struct nn_place {
  peri_tensor *const *tensor; /* in the layer, or in the handle of an object's field */
  int owner;                  /* stack index of the module */
  int position;               /* a layer's parameter from 0; an object's entry in its order from 1 */
} nn_place;

struct nn_walk {
  lua_State *L;
  bind_state *S;
  const nn_state *N;
  const char *operation;
  bool names; /* whether parameters come with their full name on the stack's top */
  void (*parameter)(nn_walk *w, const nn_place *place); /* or NULL; parameters in two places come twice */
  void (*module)(nn_walk *w, int index);                /* or NULL; children come before their parents */
  int depth;
  int list, tensors, seen; /* stack positions of tables that the functions use */
};

/* Raises when the value at index is no module. */
void nn_walk_from(nn_walk *w, int index);

/* ---- the parts of peri.nn; state, methods and module are stack positions ---- */
void nn_open_methods(lua_State *L, bind_state *S, int state, int methods);
void nn_open_containers(lua_State *L, bind_state *S, int state, int methods, int module);
void nn_open_objects(lua_State *L, bind_state *S, int state, int methods, int module);
int nn_to_text(lua_State *L); /* __tostring */

#endif
