/* Modules written in Lua of classes that promise so, in a step that is recorded: what they do follows from their
 * fields, their mode and the shapes of what they are called with, and plans look at the first two. */
#include "nn.h"

#include "base/memory.h"

/* What an object tells of itself; it may be gone when a plan is still there. */
struct nn_watch {
  peri_context *context; /* retained */
  int references;
  bool gone;
  bool training;
  uint64_t changes; /* of fields */
};

typedef struct guarded {
  nn_watch *watch;
  uint64_t changes;
  bool training;
  int n;
  struct {
    peri_tensor *const *place; /* in the field's handle, which is there as long as the field is what it was */
    peri_tensor *held;         /* what it has, a parameter or a buffer */
    bool trained;
  } tensors[];
} guarded;

static size_t guarded_bytes(int n) { return sizeof(guarded) + (size_t)n * sizeof(((guarded *)0)->tensors[0]); }

static void let_watch(nn_watch *watch) {
  peri_context *context = watch->context;
  if (--watch->references > 0) return;
  peri_free(context, watch, sizeof *watch);
  peri_context_drop(context);
}

static bool holds(const void *note) {
  const guarded *g = note;
  if (g->watch->gone || g->watch->changes != g->changes || g->watch->training != g->training) return false;
  for (int i = 0; i < g->n; i++) {
    const peri_tensor *held = g->tensors[i].held;
    if (*g->tensors[i].place != held || held->requires_grad != g->tensors[i].trained) return false;
  }
  return true;
}

static void let_guarded(void *note) {
  guarded *g = note;
  nn_watch *watch = g->watch;
  for (int i = 0; i < g->n; i++) peri_tensor_release(&g->tensors[i].held);
  peri_free(watch->context, g, guarded_bytes(g->n));
  let_watch(watch);
}

static nn_watch *watch_of(peri_context *context, nn_object *object) {
  void *block;
  if (object->watch == NULL && peri_alloc(context, sizeof *object->watch, &block) == PERI_OK) {
    object->watch = block;
    *object->watch = (nn_watch){.context = context, .references = 1, .training = object->training};
    peri_context_retain(context);
  }
  return object->watch;
}

/* The object's tensors, in the order of their names, into the guard; or only how many, and its layers are told of. */
static int list_parts(lua_State *L, bind_state *S, int index, guarded *g) {
  int n = 0;
  lua_getiuservalue(L, index, NN_FIELDS);
  lua_getiuservalue(L, index, NN_ORDER);
  const int order = lua_gettop(L);
  for (lua_Integer i = 1; lua_rawgeti(L, order, i) != LUA_TNIL; i++) {
    lua_rawget(L, order - 1);
    peri_tensor *const *place = bind_to_handle(L, S, -1);
    const peri_layer *layer = nn_to_layer(L, S, -1);
    lua_pop(L, 1);
    if (layer != NULL && g == NULL) peri_layer_tell_recorder(layer);
    if (place == NULL || *place == NULL) continue;
    if (g != NULL) {
      g->tensors[n].place = place;
      g->tensors[n].held = peri_tensor_retain(*place);
      g->tensors[n].trained = (*place)->requires_grad;
    }
    n++;
  }
  lua_settop(L, order - 2);
  return n;
}

void nn_tell_recorder(lua_State *L, bind_state *S, int index) {
  peri_recorder *r = S->context->recorder;
  peri_context *context = S->context;
  const int n = list_parts(L, S, index, NULL);
  nn_watch *watch = watch_of(context, lua_touserdata(L, index));
  void *block;
  if (watch == NULL || peri_alloc(context, guarded_bytes(n), &block) != PERI_OK) {
    peri_refuse_recorder(r, "memory is short");
    return;
  }
  guarded *g = block;
  *g = (guarded){watch, watch->changes, watch->training, n};
  watch->references++;
  list_parts(L, S, index, g);
  for (int i = 0; i < n; i++) r->admit(r, g->tensors[i].held);
  r->guard(r, &(peri_guard){holds, let_guarded, g});
}

void nn_field_changed(nn_object *object) {
  if (object->watch != NULL) object->watch->changes++;
}

void nn_set_mode(nn_object *object, bool training) {
  object->training = training;
  if (object->watch != NULL) object->watch->training = training;
}

void nn_collect_object(void *object) {
  nn_watch *watch = ((nn_object *)object)->watch;
  ((nn_object *)object)->watch = NULL;
  if (watch == NULL) return;
  watch->gone = true;
  let_watch(watch);
}

/* ---- of which classes they are ---- */

static const char known_key;

void nn_know_class(lua_State *L, int index) {
  lua_pushboolean(L, 1);
  lua_rawsetp(L, index, &known_key);
}

bool nn_is_known(lua_State *L, int index) {
  const int top = lua_gettop(L);
  lua_getiuservalue(L, index, NN_FIELDS);
  lua_pushliteral(L, "forward");
  const bool own = lua_rawget(L, -2) != LUA_TNIL;
  const bool known = lua_getiuservalue(L, index, NN_CLASS) == LUA_TTABLE && lua_rawgetp(L, -1, &known_key) != LUA_TNIL;
  lua_settop(L, top);
  return known && !own;
}
