/* Functions written in Lua as a part of the graph, and hooks on tensors. */
#include "hooks.h"
#include "graph.h"
#include "names.h"
#include "tensor.h"
#include "ops/node.h"

#include <string.h>

struct bind_hook {
  peri_hook hook;
  bind_state *S; /* NULL when its Lua state was closed */
  peri_context *context;
  lua_Integer id;             /* of its value: a function, or the ctx of one written in Lua */
  bind_hook *previous, *next; /* all that live */
  size_t bytes;               /* of this block */
  int saved_count, result_count;
  int *results;          /* of a saved tensor: which result it is, or -1 */
  uint64_t *versions;    /* of the saved tensors */
  peri_tensor **saved;   /* with NULL where the script saved nothing */
  peri_layout layouts[]; /* of the results */
};

/* Keys of the registry: values by number, the blocks of tensors' hooks by number, and the function that calls the
 * backward of a function written in Lua. */
static const char values_key, blocks_key, runner_key, scratch_key;

/* ---- the life of a hook ---- */

static void push_table(lua_State *L, const char *key) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static void unlink_hook(bind_state *S, bind_hook *hook) {
  if (hook->previous != NULL) {
    hook->previous->next = hook->next;
  } else {
    S->hooks = hook->next;
  }
  if (hook->next != NULL) hook->next->previous = hook->previous;
}

/* Called by the runtime, perhaps within a collection. */
static void let_go(peri_hook *base) {
  bind_hook *hook = (bind_hook *)base;
  for (int i = 0; i < hook->saved_count; i++) peri_tensor_release(&hook->saved[i]);
  if (hook->S == NULL) {
    peri_free(hook->context, hook, hook->bytes);
    return;
  }
  unlink_hook(hook->S, hook);
  hook->next = hook->S->dead_hooks;
  hook->S->dead_hooks = hook;
}

static void take_value(lua_State *L, const char *key, lua_Integer id) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_rawseti(L, -2, id); /* the entry is there: no memory is asked for */
  }
  lua_pop(L, 1);
}

void bind_sweep_dead_hooks(lua_State *L, bind_state *S) {
  luaL_checkstack(L, 4, "hooks");
  while (S->dead_hooks != NULL) {
    bind_hook *hook = S->dead_hooks;
    S->dead_hooks = hook->next;
    take_value(L, &values_key, hook->id);
    take_value(L, &blocks_key, hook->id);
    peri_free(hook->context, hook, hook->bytes);
  }
}

void bind_close_hooks(bind_state *S) {
  for (bind_hook *hook = S->hooks; hook != NULL; hook = hook->next) hook->S = NULL;
  S->hooks = NULL;
  for (bind_hook *hook = S->dead_hooks, *next; hook != NULL; hook = next) {
    next = hook->next;
    peri_free(hook->context, hook, hook->bytes);
  }
  S->dead_hooks = NULL;
}

/* A hook with one reference for the value at index, room for `saved` tensors and the layouts of `results`. */
static peri_status new_hook(bind_state *S, lua_Integer id, int saved, int results, bind_hook **out) {
  void *block;
  size_t layouts = sizeof(bind_hook) + (size_t)results * sizeof(peri_layout);
  size_t bytes = layouts + (size_t)saved * (sizeof(peri_tensor *) + sizeof(uint64_t) + sizeof(int));
  PERI_TRY(peri_alloc(S->context, bytes, &block));
  bind_hook *hook = *out = block;
  *hook = (bind_hook){.hook = {.references = 1, .release = let_go}, .S = S, .context = S->context, .id = id};
  hook->bytes = bytes;
  hook->result_count = results;
  hook->saved = (peri_tensor **)(void *)((char *)block + layouts);
  hook->versions = (uint64_t *)(void *)(hook->saved + saved);
  hook->results = (int *)(void *)(hook->versions + saved);
  hook->next = S->hooks;
  if (S->hooks != NULL) S->hooks->previous = hook;
  S->hooks = hook;
  return PERI_OK;
}

/* Puts the value at index under the number of a hook to be. */
static void keep_value(lua_State *L, lua_Integer id, int index) {
  index = lua_absindex(L, index);
  push_table(L, &values_key);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, id);
  lua_pop(L, 1);
}

/* ---- calls out of a walk ---- */

/* scratch() -> a table that is there until the outermost walk ends */
static int scratch(lua_State *L) {
  push_table(L, &scratch_key);
  return 1;
}

static void drop_scratch(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key) != LUA_TNIL) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &scratch_key); /* the entry is there: no memory is asked for */
  }
  lua_pop(L, 1);
}

void bind_begin_walk(lua_State *L, bind_state *S, bind_walk *walk) {
  *walk = (bind_walk){.L = L, .outer = S->walk, .outermost = S->context->walk == NULL};
  S->running = L;
  S->walk = walk;
}

void bind_end_walk(lua_State *L, bind_state *S, bind_walk *walk, peri_status status) {
  S->walk = walk->outer;
  if (walk->outermost) drop_scratch(L);
  bind_sweep_hooks(L, S);
  if (walk->raised) lua_error(L);
  if (status != PERI_OK) bind_raise(L, S, status);
}

/* f(argument) in the thread of the walk. An error stays on its stack. */
static peri_status call_out(const bind_hook *hook, lua_CFunction f, void *argument) {
  bind_state *S = hook->S;
  bind_walk *walk = S != NULL ? S->walk : NULL;
  peri_context *context = hook->context;
  if (walk == NULL) {
    return peri_fail(context, PERI_ERR_STATE,
                     "backward: a function written in Lua is in the graph, and no script has called (call backward in "
                     "Lua)");
  }
  lua_State *L = walk->L;
  if (!lua_checkstack(L, LUA_MINSTACK)) return peri_fail_memory(context, "out of memory: Lua's stack is full");
  bool mode = context->grad_mode;
  S->walk = NULL;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, argument);
  int failed = lua_pcall(L, 1, 0, 0);
  S->walk = walk;
  S->running = L;
  context->grad_mode = mode;
  if (!failed) return PERI_OK;
  walk->raised = true;
  return peri_fail(context, PERI_ERR_STATE, "a function that was called raised an error");
}

static void push_value(lua_State *L, const bind_hook *hook) {
  push_table(L, &values_key);
  lua_rawgeti(L, -1, hook->id);
  lua_remove(L, -2);
}

/* Pushes a handle of its own for a tensor that the walk holds; leaves and gradients have one. */
static void push_shared(lua_State *L, bind_state *S, peri_tensor *x) { bind_push_tensor(L, S, &x); }

/* What is not to be differentiated again comes without a graph. */
static peri_status take_gradient(bool recording, peri_tensor *x, peri_tensor **out) {
  if (!recording && x->requires_grad) return peri_tensor_detach(x, out);
  *out = peri_tensor_retain(x);
  return PERI_OK;
}

/* ---- hooks on tensors ---- */

typedef struct passing {
  bind_hook *hook;
  peri_tensor **gradient;
} passing;

static int run_pass(lua_State *L) {
  passing *p = lua_touserdata(L, 1);
  bind_state *S = p->hook->S;
  bool recording = S->context->grad_mode;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  bind_charge(L, S);
  push_value(L, p->hook);
  push_shared(L, S, *p->gradient);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1)) return 0;
  peri_tensor *given = bind_to_tensor(L, S, -1);
  const peri_layout *wanted = &(*p->gradient)->layout;
  if (given == NULL || given->layout.dtype != wanted->dtype || !peri_same_shape(&given->layout, wanted)) {
    return bind_error(L, "register_hook", "the function gave %s (expected nil, or a tensor %s of %s as the gradient)",
                      given == NULL ? bind_describe(L, -1)
                                    : lua_pushfstring(L, "a tensor %s of %s", peri_dtype_name(given->layout.dtype),
                                                      peri_shape_text(given->layout.ndim, given->layout.shape, a)),
                      peri_dtype_name(wanted->dtype), peri_shape_text(wanted->ndim, wanted->shape, b));
  }
  peri_tensor *taken, *before = *p->gradient;
  BIND_TRY(L, S, take_gradient(recording, given, &taken));
  *p->gradient = taken;
  peri_tensor_release(&before);
  return 0;
}

static peri_status pass(peri_hook *base, peri_tensor **gradient) {
  bind_hook *hook = (bind_hook *)base;
  return call_out(hook, run_pass, &(passing){hook, gradient});
}

/* ---- the objects that take hooks out ---- */

typedef struct handle {
  lua_Integer id; /* of a tensor's hook; 0: its user values are a list and what stands there */
} handle;
enum { HANDLE_LIST = 1, HANDLE_ENTRY };

static handle *check_handle(lua_State *L, const char *method) {
  if (!bind_is(L, bind_here(L), 1, BIND_HOOK))
    bind_error(L, method, "called with %s (expected h:%s())", bind_describe(L, 1), method);
  return lua_touserdata(L, 1);
}

/* The entries of the list behind that of the handle move down. */
static void take_entry(lua_State *L) {
  lua_getiuservalue(L, 1, HANDLE_LIST);
  lua_getiuservalue(L, 1, HANDLE_ENTRY);
  if (!lua_istable(L, -2)) return;
  lua_Integer n = (lua_Integer)lua_rawlen(L, -2), kept = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -2, i);
    bool keep = !lua_rawequal(L, -1, -2);
    if (keep)
      lua_rawseti(L, -3, ++kept);
    else
      lua_pop(L, 1);
  }
  for (; kept < n; n--) {
    lua_pushnil(L);
    lua_rawseti(L, -3, n);
  }
  lua_pushnil(L);
  lua_setiuservalue(L, 1, HANDLE_LIST);
}

static int remove_hook(lua_State *L) {
  bind_state *S = bind_here(L);
  handle *h = check_handle(L, "remove");
  lua_settop(L, 1);
  if (h->id == 0) {
    take_entry(L);
    return 0;
  }
  if (S->context == &S->closed) return 0; /* hooks that the runtime still had are its own since */
  push_table(L, &blocks_key);
  lua_rawgeti(L, -1, h->id);
  bind_hook *hook = lua_touserdata(L, -1);
  if (hook != NULL) peri_hook_remove(&hook->hook);
  bind_sweep_hooks(L, S);
  return 0;
}

/* Upvalue 3 holds the methods. */
static int handle_field(lua_State *L) {
  check_handle(L, "hook");
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  return bind_no_field(L, "hook", bind_describe(L, 2), &guess);
}

static handle *push_handle(lua_State *L, bind_state *S) { return bind_push_object(L, S, BIND_HOOK, sizeof(handle), 2); }

void bind_push_hook_handle(lua_State *L, bind_state *S, int list, int entry) {
  list = lua_absindex(L, list);
  entry = lua_absindex(L, entry);
  push_handle(L, S);
  lua_pushvalue(L, list);
  lua_setiuservalue(L, -2, HANDLE_LIST);
  lua_pushvalue(L, entry);
  lua_setiuservalue(L, -2, HANDLE_ENTRY);
}

int bind_register_hook(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_self(L, "register_hook");
  if (lua_type(L, 2) != LUA_TFUNCTION)
    return bind_error(L, "register_hook", "f must be a function, got %s", bind_describe(L, 2));
  lua_settop(L, 2);
  bind_sweep_hooks(L, S);
  handle *h = push_handle(L, S);
  push_table(L, &blocks_key);
  const lua_Integer id = ++S->last_hook;
  lua_pushboolean(L, 0); /* the room */
  lua_rawseti(L, -2, id);
  keep_value(L, id, 2);
  bind_hook *hook;
  peri_status status = new_hook(S, id, 0, 0, &hook);
  if (bind_retry(L, status)) status = new_hook(S, id, 0, 0, &hook);
  if (status == PERI_OK) {
    hook->hook.pass = pass;
    status = peri_tensor_hook(x, &hook->hook);
    lua_pushlightuserdata(L, hook);
    lua_rawseti(L, -2, id);
    peri_hook_release(&hook->hook);
  } else {
    take_value(L, &values_key, id);
    take_value(L, &blocks_key, id);
  }
  if (status != PERI_OK) {
    bind_sweep_hooks(L, S);
    return bind_raise(L, S, status);
  }
  h->id = id;
  lua_pop(L, 1);
  return 1;
}

/* ---- functions written in Lua ---- */

/* The tensors of the list at index, of which some may be false; they stay alive with the list. */
static void read_list(lua_State *L, bind_state *S, int index, int n, const char *operation, peri_tensor **out) {
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    if (bind_is_released(L, S, -1)) bind_error(L, operation, "a tensor that it works on was released");
    out[i] = bind_to_tensor(L, S, -1);
    lua_pop(L, 1);
  }
}

typedef struct function_call {
  lua_Integer id;
  const char *name;
  int inputs, results, saved;
  peri_tensor **input, **result, **keep;
} function_call;

static peri_status record_hook(bind_state *S, const function_call *r,
                               peri_status (*grad)(peri_hook *, peri_backward *)) {
  bind_hook *hook;
  PERI_TRY(new_hook(S, r->id, r->saved, r->results, &hook));
  hook->hook.grad = grad;
  for (int i = 0; i < r->results; i++) {
    const peri_layout *layout = &r->result[i]->layout;
    peri_layout_set(&hook->layouts[i], layout->dtype, layout->ndim, layout->shape);
  }
  for (int i = 0; i < r->saved; i++) {
    hook->saved[i] = r->keep[i] != NULL ? peri_tensor_retain(r->keep[i]) : NULL;
    hook->versions[i] = r->keep[i] != NULL ? r->keep[i]->storage->version : 0;
    hook->results[i] = -1;
    for (int k = 0; r->keep[i] != NULL && k < r->results; k++) {
      if (r->result[k] == r->keep[i]) hook->results[i] = k;
    }
    hook->saved_count++;
  }
  peri_status status =
      peri_node_record_function(S->context, &hook->hook, r->name, r->inputs, r->input, r->results, r->result);
  peri_hook_release(&hook->hook);
  return status;
}

/* Pushes the saved tensors as a list: nil where none was saved, and results as what the node computed, where the
 * gradient is to be differentiated again. */
static void push_saved(lua_State *L, bind_state *S, const bind_hook *hook, const peri_backward *B) {
  lua_createtable(L, hook->saved_count, 0);
  for (int i = 0; i < hook->saved_count; i++) {
    if (hook->saved[i] == NULL) continue;
    if (hook->saved[i]->storage->version != hook->versions[i]) {
      bind_error(L, peri_node_name(B->node),
                 "saved tensor %d was changed in place after it was saved (version %I, now %I)", i + 1,
                 (lua_Integer)hook->versions[i], (lua_Integer)hook->saved[i]->storage->version);
    }
    if (B->create_graph && hook->results[i] >= 0) {
      peri_tensor **x = bind_new_tensor(L, S);
      BIND_TRY(L, S, peri_node_attach(B->node, hook->results[i], hook->saved[i], x));
    } else {
      push_shared(L, S, hook->saved[i]);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

typedef struct backward_call {
  bind_hook *hook;
  peri_backward *B;
} backward_call;

static void push_output_gradient(lua_State *L, bind_state *S, const bind_hook *hook, const peri_backward *B, int i) {
  if (B->grad_outputs[i] != NULL) {
    push_shared(L, S, B->grad_outputs[i]);
    return;
  }
  peri_tensor **zeros = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_full(S->context, &hook->layouts[i], 0, zeros));
}

/* The runner gets ctx, the saved tensors, and a list of the gradients of results, and gives a list with a gradient or
 * false for each input, which it has checked. */
static int run_backward(lua_State *L) {
  const backward_call *call = lua_touserdata(L, 1);
  bind_hook *hook = call->hook;
  peri_backward *B = call->B;
  bind_state *S = hook->S;
  bool recording = S->context->grad_mode;
  bind_charge(L, S);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &runner_key);
  push_value(L, hook);
  push_saved(L, S, hook, B);
  lua_createtable(L, hook->result_count, 0);
  for (int i = 0; i < hook->result_count; i++) {
    push_output_gradient(L, S, hook, B, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_call(L, 3, 1);
  for (int i = 0; i < B->edges; i++) {
    lua_rawgeti(L, -1, i + 1);
    peri_tensor *given = bind_to_tensor(L, S, -1);
    if (given != NULL && B->needs[i]) BIND_TRY(L, S, take_gradient(recording, given, &B->answers[i]));
    lua_pop(L, 1);
  }
  return 0;
}

static peri_status backward(peri_hook *base, peri_backward *B) {
  bind_hook *hook = (bind_hook *)base;
  return call_out(hook, run_backward, &(backward_call){hook, B});
}

/* record(ctx, name, inputs, results, saved) -> a list of the results, as computed from the inputs */
static int record(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, 5);
  bind_sweep_hooks(L, S);
  int inputs = (int)lua_rawlen(L, 3), results = (int)lua_rawlen(L, 4), saved = (int)lua_rawlen(L, 5);
  peri_tensor **room = lua_newuserdatauv(L, (size_t)(inputs + 2 * results + saved + 1) * sizeof *room, 0);
  function_call r = {.name = lua_tostring(L, 2), .inputs = inputs, .results = results, .saved = saved};
  r.input = room;
  r.result = room + inputs;
  r.keep = r.result + results;
  peri_tensor **before = r.keep + saved;
  lua_createtable(L, results, 0);
  int list = lua_gettop(L);
  for (int i = 0; i < results; i++) {
    bind_new_tensor(L, S);
    lua_rawseti(L, list, i + 1);
  }
  r.id = ++S->last_hook;
  keep_value(L, r.id, 1); /* the last that asks Lua for memory */
  read_list(L, S, 3, inputs, r.name, r.input);
  read_list(L, S, 5, saved, r.name, r.keep);
  read_list(L, S, 4, results, r.name, before);
  for (int i = 0; i < results; i++) r.result[i] = peri_tensor_retain(before[i]);
  S->running = L;
  peri_status status = record_hook(S, &r, backward);
  if (bind_retry(L, status)) status = record_hook(S, &r, backward);
  for (int i = 0; i < results; i++) {
    if (status == PERI_OK) {
      lua_rawgeti(L, list, i + 1);
      *(peri_tensor **)lua_touserdata(L, -1) = r.result[i];
      lua_pop(L, 1);
    } else {
      peri_tensor_release(&r.result[i]);
    }
  }
  if (status != PERI_OK) {
    take_value(L, &values_key, r.id);
    bind_sweep_hooks(L, S);
    bind_raise(L, S, status);
  }
  bind_charge(L, S);
  lua_settop(L, list);
  return 1;
}

static int set_runner(lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &runner_key);
  return 0;
}

/* ---- opening ---- */

static const bind_function handle_methods[] = {
    {"remove", remove_hook,
     "h:remove()\nThe hook is called no more. h is what register_hook, or one of the others, gave; twice is no error."},
    {NULL, NULL, NULL}};
static const luaL_Reg handle_metamethods[] = {{"__index", handle_field}, {NULL, NULL}};
static const bind_class handle_class = {
    .kind = BIND_HOOK, .name = "perilune.hook", .methods = handle_methods, .metamethods = handle_metamethods};

void bind_open_hooks(lua_State *L, bind_state *S) {
  int top = lua_gettop(L);
  bind_open_class(L, S, &handle_class, 0);
  bind_set_class(L, "hook", "Hooks", top + 1);
  lua_settop(L, top);
}

void bind_open_autograd(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {{"record", record},    {"set_runner", set_runner}, {"scratch", scratch},
                                  {"graph", bind_graph}, {"leaves", bind_leaves},    {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}
