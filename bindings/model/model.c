/* Models as lua/model.lua needs them: descriptions of layers and machines, models of a text and tensors, files; and
 * what a host gets of a script's object. */
#include "bindings/core/bind.h"
#include "bindings/core/pairs.h"
#include "bindings/data/named.h"
#include "bindings/nn/nn.h"
#include "bindings/svm/svm.h"

#include "model/model.h"

#include <perilune/lua.h>
#include <string.h>

/* ---- descriptions ---- */

typedef struct writer_box {
  peri_writer writer; /* first */
} writer_box;

static int close_writer(lua_State *L) {
  writer_box *box = lua_touserdata(L, 1);
  peri_writer_release(&box->writer);
  return 0;
}

/* Puts what was written in the place of the box, which is on the top. */
static void finish_writer(lua_State *L, bind_state *S, peri_writer *writer) {
  if (writer->status != PERI_OK) bind_raise(L, S, writer->status);
  lua_pushlstring(L, writer->text, writer->length);
  peri_writer_release(writer);
  lua_remove(L, -2);
}

static peri_writer *push_writer(lua_State *L, bind_state *S) {
  writer_box *box = bind_push_box(L, sizeof *box, close_writer);
  box->writer = (peri_writer){.context = S->context};
  return &box->writer;
}

/* Pushes the description of the module at index. */
static void push_module(lua_State *L, bind_state *S, const char *operation, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 10, operation);
  const peri_layer *layer = nn_to_layer(L, S, index);
  if (layer != NULL) {
    peri_writer *writer = push_writer(L, S);
    peri_write_layer(writer, layer);
    finish_writer(L, S, writer);
    return;
  }
  const nn_container *container = bind_is(L, S, index, BIND_CONTAINER) ? lua_touserdata(L, index) : NULL;
  if (container == NULL || !container->runs) {
    bind_error(L, operation,
               "%s is %s (expected a built-in layer, or a Sequential of them: a file holds data, not code)",
               nn_name(L, S, index), container == NULL ? "a layer written in Lua" : "a list that does not run");
  }
  lua_pushliteral(L, "Sequential{");
  for (int i = 1; i <= container->n; i++) {
    lua_getiuservalue(L, index, i);
    push_module(L, S, operation, -1);
    lua_remove(L, -2);
    if (i < container->n) lua_pushliteral(L, ", ");
    lua_concat(L, i < container->n ? 3 : 2);
  }
  lua_pushliteral(L, "}");
  lua_concat(L, 2);
}

/* network(operation, module) -> text, or nil where it is no module */
static int describe_network(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  if (nn_kind_of(L, S, 2) == BIND_NONE) return 0;
  push_module(L, S, operation, 2);
  return 1;
}

/* is_machine(value) -> bool */
static int is_machine(lua_State *L) {
  const bind_kind kind = bind_kind_of(L, bind_here(L), 1);
  lua_pushboolean(L, kind >= (bind_kind)BIND_SVC && kind <= (bind_kind)BIND_LOGISTIC);
  return 1;
}

/* machine(m, operation) -> text, name; m is a machine */
static int describe_machine(lua_State *L) {
  bind_state *S = bind_here(L);
  const estimator *e = lua_touserdata(L, 1);
  if (e->m.has_function) {
    return bind_error(L, luaL_checkstring(L, 2), "the kernel of the %s is a Lua function (a file holds data, not code)",
                      e->m.type->name);
  }
  peri_writer *writer = push_writer(L, S);
  peri_write_machine(writer, &e->m);
  finish_writer(L, S, writer);
  lua_pushstring(L, e->m.type->name);
  return 2;
}

/* ---- models ---- */

typedef struct model_box {
  peri_model *model; /* first */
} model_box;

static int close_model(lua_State *L) {
  model_box *box = lua_touserdata(L, 1);
  peri_model_release(&box->model);
  return 0;
}

/* Pushes a box with the model of the text and the table of tensors at these indices. */
static peri_model **push_model(lua_State *L, bind_state *S, const char *operation, int text, int tensors) {
  const char *description = luaL_checkstring(L, text);
  const data_named named = data_check_tensors(L, S, tensors, operation);
  model_box *box = bind_push_box(L, sizeof *box, close_model);
  box->model = NULL;
  BIND_TRY(L, S, peri_model_new(S->context, operation, description, named.n, named.names, named.tensors, &box->model));
  return &box->model;
}

/* save(operation, path, text, tensors) */
static int save(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = luaL_checkstring(L, 1), *path = bind_check_path(L, 2, operation);
  peri_model **model = push_model(L, S, operation, 3, 4);
  BIND_TRY(L, S, peri_model_save(S->context, *model, path));
  return 0;
}

/* Pushes an item as Lua has it: a number, a word, a truth; a table; {call = name, ...}. */
static void push_item(lua_State *L, const peri_item *item) {
  luaL_checkstack(L, 5, "description");
  if (item->kind == PERI_ITEM_NUMBER) {
    lua_Integer whole;
    if (lua_numbertointeger(item->number, &whole) && (double)whole == item->number)
      lua_pushinteger(L, whole);
    else
      lua_pushnumber(L, item->number);
  } else if (item->kind == PERI_ITEM_BOOL) {
    lua_pushboolean(L, item->number != 0);
  } else if (item->kind == PERI_ITEM_WORD) {
    lua_pushstring(L, item->text);
  } else {
    lua_createtable(L, item->count, 1);
    if (item->kind == PERI_ITEM_CALL) {
      lua_pushstring(L, item->text);
      lua_setfield(L, -2, "call");
    }
    lua_Integer place = 0;
    for (const peri_item *child = item->first; child != NULL; child = child->next) {
      push_item(L, child);
      if (child->key != NULL)
        lua_setfield(L, -2, child->key);
      else
        lua_rawseti(L, -2, child->labelled ? (lua_Integer)child->label : ++place);
    }
  }
}

static int close_description(lua_State *L) {
  peri_description_release(lua_touserdata(L, 1));
  return 0;
}

/* open(path) -> the description as tables, {name = tensor}; all of it is known to be sound */
static int open_file(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "load_model");
  model_box *box = bind_push_box(L, sizeof *box, close_model);
  box->model = NULL;
  BIND_TRY(L, S, peri_model_load(S->context, path, &box->model));
  peri_description *description = bind_push_box(L, sizeof *description, close_description);
  *description = (peri_description){.context = S->context};
  BIND_TRY(L, S, peri_description_read(S->context, "load_model", box->model->text, description));
  push_item(L, description->root);
  const peri_named_tensors *list = &box->model->list;
  lua_createtable(L, 0, (int)list->n);
  for (size_t i = 0; i < list->n; i++) {
    peri_tensor **handle = bind_new_tensor(L, S);
    BIND_TRY(L, S, peri_model_copy_tensor(S->context, list->tensors[i], handle));
    lua_setfield(L, -2, list->names[i]);
  }
  bind_charge(L, S);
  return 2;
}

/* parts(operation, text, tensors) -> the description as tables, {dtype =, row = {sizes}} of a network; all is sound */
static int parts(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = luaL_checkstring(L, 1);
  const peri_model *model = *push_model(L, S, operation, 2, 3);
  peri_description *description = bind_push_box(L, sizeof *description, close_description);
  *description = (peri_description){.context = S->context};
  BIND_TRY(L, S, peri_description_read(S->context, operation, model->text, description));
  push_item(L, description->root);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, peri_dtype_name(model->dtype));
  lua_setfield(L, -2, "dtype");
  lua_createtable(L, model->ndim, 0);
  for (int d = 0; d < model->ndim; d++) {
    lua_pushinteger(L, model->shape[d]);
    lua_rawseti(L, -2, d + 1);
  }
  lua_setfield(L, -2, "row");
  return 2;
}

/* part(steps): how many steps of a chain of so many are summed up at a time */
static int part_of(lua_State *L) {
  lua_pushinteger(L, peri_part(luaL_checkinteger(L, 1)));
  return 1;
}

void bind_open_models(lua_State *L, bind_state *S) {
  static const luaL_Reg functions[] = {{"network", describe_network},
                                       {"is_machine", is_machine},
                                       {"machine", describe_machine},
                                       {"save", save},
                                       {"open", open_file},
                                       {"parts", parts},
                                       {"part", part_of},
                                       {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, functions);
}

/* ---- for hosts ---- */

peri_model *peri_lua_model(lua_State *L, int index) {
  bind_state *S = bind_open(L, NULL);
  index = lua_absindex(L, index);
  const int top = lua_gettop(L);
  luaL_checkstack(L, 20, "model");
  peri_lua_open(L, NULL);
  lua_getfield(L, -1, "model"); /* opens the part, which puts `describe` beside the functions above */
  bind_push_internal(L);
  lua_getfield(L, -1, "model");
  lua_getfield(L, -1, "describe");
  lua_pushliteral(L, "model");
  lua_pushvalue(L, index);
  lua_call(L, 2, 2);
  peri_model *model = *push_model(L, S, "model", lua_gettop(L) - 1, lua_gettop(L));
  peri_model_retain(model); /* beside the box's, which goes with the collector */
  lua_settop(L, top);
  return model;
}
