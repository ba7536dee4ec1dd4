/* Modules as Lua sees them: layers in C, containers, and objects of classes written in Lua.
 *
 * All three are userdata and share the methods of nn.Module. A layer is one pointer to a peri_layer. A
 * container keeps its children in user values, and beside them pointers to those that are C layers. An
 * object of a Lua class keeps its fields, the order of its children and parameters, and its class in
 * user values. */
#ifndef PERI_BIND_NN_H
#define PERI_BIND_NN_H

#include "bindings/core/bind.h"
#include "nn/nn.h"

#include <math.h>

/* Walks and calls go through nested modules by recursion, which Lua allows about 200 times. */
#define NN_DEEPEST 100

typedef struct nn_container {
  bool training;
  bool runs;            /* Sequential; a ModuleList only holds */
  bool hooked;          /* by a script, as a layer */
  int n, depth;         /* depth: of nesting, 1 for an empty one; a child that is no container counts 1 */
  int first, at;        /* of the children that a call runs: the first, and at which, both from 0; first -1: none */
  peri_layer *layers[]; /* references; NULL where the child is no C layer that is plain */
} nn_container;

/* The child that a call is at, from 1: what errors say. */
static inline int nn_current(const nn_container *container) { return container->first + container->at + 1; }

typedef struct nn_watch nn_watch;
typedef struct nn_object {
  bool training, hooked;
  nn_watch *watch; /* what plans look at; NULL until one does */
} nn_object;
enum {
  NN_FIELDS = 1,
  NN_ORDER,
  NN_CLASS
}; /* an object's user values; the order is a list, and under each name in it "part" or "buffer" */

/* BIND_LAYER, BIND_CONTAINER or BIND_OBJECT; BIND_NONE when the value at index is no module. */
bind_kind nn_kind_of(lua_State *L, const bind_state *S, int index);
/* The C layer at index, or NULL. */
peri_layer *nn_to_layer(lua_State *L, const bind_state *S, int index);
/* "Linear", "Sequential", "Net": the name of the module at index; may push a string. */
const char *nn_name(lua_State *L, const bind_state *S, int index);

const char *nn_called(lua_State *L, int index); /* the same, for messages */

/* ---- hooks (hooks.c, lua/nn/hooks.lua) ---- */

/* The call of a module that has hooks: `plain` is its call without them. */
int nn_call_hooked(lua_State *L, lua_CFunction plain);
void nn_open_hooks(lua_State *L, bind_state *S);
/* Pushes the way to what the running calls are at, "Sequential[3].Net.fc1", or "". */
void nn_push_path(lua_State *L, bind_state *S);

/* Raises what went wrong in a layer, with the way to it where it is part of a net; self is its stack index, or 0 when a
 * container runs it. */
int nn_raise(lua_State *L, bind_state *S, peri_status status, const peri_layer *layer, int self);

/* A layer's size as what is read and shown like an option. */
static inline peri_option nn_size_option(const peri_layer_size *size) {
  return (peri_option){
      .name = size->name, .kind = PERI_OPTION_INTEGER, .otherwise = NAN, .count = size->count, .open = size->open};
}
/* Pushes the constructor of a kind. */
void nn_push_constructor(lua_State *L, bind_state *S, const peri_layer_kind *kind);

/* ---- objects in steps that are recorded (watch.c) ---- */

/* Whether the object at index is of a class of which it was said, and has no forward of its own: what it does follows
 * from its fields, its mode and shapes. */
bool nn_is_known(lua_State *L, int index);
void nn_know_class(lua_State *L, int index);
/* What a plan that has called the object at index is to look at. */
void nn_tell_recorder(lua_State *L, bind_state *S, int index);
/* Whoever writes to the fields of an object says so. */
void nn_field_changed(nn_object *object);
void nn_set_mode(nn_object *object, bool training);
void nn_collect_object(void *object);

/* ---- walking through a module and all that it holds, in the order of registration ---- */

typedef struct nn_walk nn_walk;

/* A parameter's place: the module that has it, and which it is there. */
typedef struct nn_place {
  peri_tensor *const *tensor; /* in the layer, or in the handle of an object's field */
  int owner;                  /* stack index of the module */
  int position;               /* a layer's parameter from 0; an object's entry in its order from 1 */
  bool buffer;
} nn_place;

struct nn_walk {
  lua_State *L;
  bind_state *S;
  const char *operation;
  bool names;               /* whether parameters come with their full name on the stack's top */
  bool parameters, buffers; /* which of the two are visited */
  void (*parameter)(nn_walk *w, const nn_place *place); /* or NULL; what is in two places comes twice */
  void (*module)(nn_walk *w, int index);                /* or NULL; children come before their parents */
  int depth;
  int below;               /* by how much the first of a container's names is below 1 */
  int list, tensors, seen; /* stack positions of tables that the functions use */
};

/* Raises when the value at index is no module. */
void nn_walk_from(nn_walk *w, int index);

/* ---- the parts of peri.nn; methods (those of all modules) and module are stack positions ---- */
void nn_open_methods(lua_State *L, bind_state *S);
void nn_open_containers(lua_State *L, bind_state *S, int methods, int module);
void nn_open_objects(lua_State *L, bind_state *S, int methods, int module);
void nn_open_path(lua_State *L, bind_state *S); /* internal.nn */
void nn_open_utils(lua_State *L, bind_state *S, int module);
int nn_to_text(lua_State *L); /* __tostring */

#endif
