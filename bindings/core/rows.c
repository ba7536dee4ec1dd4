/* Rows of the operation table as Lua functions: one closure for each row, whose upvalues are the
 * state, the row, and whether it is the in-place form. */
#include "rows.h"
#include "arguments.h"
#include "names.h"
#include "tensor.h"

#include "autograd/autograd.h"
#include "ops/rows.h"

#include <stdio.h>
#include <string.h>

/* ---- results ---- */

int bind_shown_outputs(const peri_op *op) {
  int shown = 0;
  while (shown < op->outputs && !(op->saves & PERI_HIDDEN_OUTPUT(shown))) shown++;
  return shown;
}

void bind_push_element(lua_State *L, const peri_view *x) {
  peri_refuse_replay(bind_here(L)->context, "the script reads a value of a tensor");
  switch (x->layout.dtype) {
  case PERI_BOOL:
    lua_pushboolean(L, *(const uint8_t *)x->data);
    break;
  case PERI_INT64:
  case PERI_UINT8:
    lua_pushinteger(L, peri_load_integer(x->layout.dtype, x->data));
    break;
  default:
    lua_pushnumber(L, peri_load_number(x->layout.dtype, x->data));
  }
}

/* Fills the handles that were pushed before the call. */
static void take_outputs(peri_call *call, peri_tensor **const *handles, int shown) {
  for (int i = 0; i < call->op->outputs; i++) {
    if (i < shown) {
      *handles[i] = call->outputs[i].tensor;
    } else {
      peri_tensor_release(&call->outputs[i].tensor);
    }
  }
}

/* The first outputs as handles; the others are let go. */
static int run_for(lua_State *L, bind_state *S, peri_call *call, int shown) {
  peri_tensor **handles[PERI_MAX_OUTPUTS];
  for (int i = 0; i < shown; i++) handles[i] = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_call_run(call));
  take_outputs(call, handles, shown);
  int first = lua_gettop(L) - shown + 1;
  for (int i = shown - 1; i >= 0; i--) {
    if (!call->outputs[i].unwanted) continue;
    lua_remove(L, first + i);
    shown--;
  }
  bind_charge(L, S);
  return shown;
}

int bind_run(lua_State *L, bind_state *S, peri_call *call) { return run_for(L, S, call, bind_shown_outputs(call->op)); }

void bind_apply(lua_State *L, bind_state *S, const peri_op *op, int n, peri_tensor *const *operands) {
  peri_call call;
  peri_call_open(&call, S->context, op);
  for (int i = 0; i < n; i++) {
    call.args[i].given = true;
    call.args[i].tensor = operands[i];
  }
  lua_pop(L, bind_run(L, S, &call) - 1);
}

/* A list of outputs as a table of handles. */
static int call_list(lua_State *L, bind_state *S, peri_call *call) {
  BIND_TRY(L, S, peri_call_list(call));
  int n = call->output_count;
  call->outputs = lua_newuserdatauv(L, (size_t)n * sizeof *call->outputs, 0);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    bind_new_tensor(L, S);
    lua_rawseti(L, -2, i + 1);
  }
  BIND_TRY(L, S, peri_call_run(call));
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, -1, i + 1);
    *(peri_tensor **)lua_touserdata(L, -1) = call->outputs[i].tensor;
    lua_pop(L, 1);
  }
  bind_charge(L, S);
  return 1;
}

/* The first output as one Lua value, without a handle. */
static int call_value(lua_State *L, bind_state *S, peri_call *call) {
  BIND_TRY(L, S, peri_call_run(call));
  bind_push_element(L, &call->outputs[0].tensor->view);
  for (int i = 0; i < call->op->outputs; i++) peri_tensor_release(&call->outputs[i].tensor);
  return 1;
}

/* The row that the row is with its first argument alone: the list of its result's rows. */
static int call_alone(lua_State *L, bind_state *S, const peri_op *op) {
  peri_call call;
  peri_call_open(&call, S->context, op->alone);
  call.args[0].given = true;
  call.args[0].tensor = bind_check_tensor(L, S, 1, op->name, op->params[0].name);
  bind_run(L, S, &call);
  int matrix = lua_gettop(L);
  int64_t rows = bind_to_tensor(L, S, matrix)->layout.shape[0];
  lua_createtable(L, (int)rows, 0);
  for (int64_t i = 0; i < rows; i++) {
    peri_call_open(&call, S->context, &peri_op_select);
    call.args[0].given = true;
    call.args[0].tensor = bind_to_tensor(L, S, matrix);
    call.args[2].integer = i;
    bind_run(L, S, &call);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- the closure ---- */

static int call_row(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_op *op = lua_touserdata(L, lua_upvalueindex(2));
  bool in_place = lua_toboolean(L, lua_upvalueindex(3));
  int top = lua_gettop(L);
  peri_call call;
  if (op->alone != NULL && top == 1 && !lua_istable(L, 1)) return call_alone(L, S, op);
  peri_call_open(&call, S->context, op);
  call.in_place = in_place;
  int first = 1;
  bind_row_reader r = {L, S, &call, in_place ? lua_tostring(L, lua_upvalueindex(3)) : op->name, &first};
  bind_read_arguments(&r, top);
  if (in_place || (op->flags & PERI_OP_WRITES)) {
    BIND_TRY(L, S, peri_call_run(&call));
    peri_tensor_release(&call.outputs[0].tensor);
    lua_pushvalue(L, first);
    return 1;
  }
  if (op->list != NULL) return call_list(L, S, &call);
  if ((op->flags & PERI_OP_FULL_VALUE) && !call.args[1].given) return call_value(L, S, &call);
  if ((op->flags & PERI_OP_FULL_ONE) && !call.args[1].given) return run_for(L, S, &call, 1);
  int shown = bind_run(L, S, &call);
  if ((op->flags & PERI_OP_CREATES) && call.args[peri_op_params(op) - 1].integer) {
    BIND_TRY(L, S, peri_require_grad(call.outputs[0].tensor, true));
    bind_register_handle(L, S, -1);
  }
  return shown;
}

/* Unary metamethods are called with the operand twice. */
static int call_unary_metamethod(lua_State *L) {
  lua_settop(L, 1);
  return call_row(L);
}

static void push_row(lua_State *L, bind_state *S, const peri_op *op, const char *in_place, lua_CFunction function) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)op);
  if (in_place != NULL) {
    lua_pushstring(L, in_place);
  } else {
    lua_pushboolean(L, 0);
  }
  bind_push_function(L, S, function, 2);
}

/* Stores the value on top under a name that may hold one dot: "linalg.solve". */
static void set_field(lua_State *L, int table, const char *name) {
  const char *dot = strchr(name, '.');
  if (dot == NULL) {
    lua_setfield(L, table, name);
    return;
  }
  lua_pushlstring(L, name, (size_t)(dot - name));
  if (lua_rawget(L, table) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushlstring(L, name, (size_t)(dot - name));
    lua_pushvalue(L, -2);
    lua_rawset(L, table);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, dot + 1);
  lua_pop(L, 1);
}

/* Puts the function on top of the stack into the module, and into the methods where there are any. */
static void register_function(lua_State *L, const char *name, int module, int methods) {
  if (methods != 0) {
    lua_pushvalue(L, -1);
    lua_setfield(L, methods, name);
  }
  lua_pushvalue(L, -1);
  set_field(L, module, name);
}

static void register_other_names(lua_State *L, const char *names, int module, int methods) {
  char name[32];
  for (size_t n; names != NULL && (n = strcspn(names, " ")) > 0; names += n + (names[n] == ' ')) {
    snprintf(name, sizeof name, "%.*s", (int)n, names);
    register_function(L, name, module, methods);
  }
}

static void register_row(lua_State *L, bind_state *S, const peri_op *op, int module, int methods, int meta) {
  bool is_method = op->params[0].name != NULL && !(op->flags & PERI_OP_NO_METHOD) &&
                   (op->params[0].kind == PERI_KIND_TENSOR || op->params[0].kind == PERI_KIND_OPERAND ||
                    op->params[0].kind == PERI_KIND_INDICES);
  push_row(L, S, op, NULL, call_row);
  bind_document(L, op->doc);
  register_function(L, op->name, module, is_method ? methods : 0);
  register_other_names(L, op->also, module, is_method ? methods : 0);
  lua_pop(L, 1);
  if (op->flags & PERI_OP_IN_PLACE) {
    lua_pushfstring(L, "%s_", op->name);
    push_row(L, S, op, lua_tostring(L, -1), call_row);
    bind_document(L, op->doc);
    lua_pushvalue(L, -1);
    lua_setfield(L, methods, lua_tostring(L, -3));
    set_field(L, module, lua_tostring(L, -2));
    lua_pop(L, 1);
  }
  if (op->metamethod != NULL) {
    push_row(L, S, op, NULL, op->params[1].name == NULL ? call_unary_metamethod : call_row);
    lua_setfield(L, meta, op->metamethod);
  }
}

void bind_rows(lua_State *L, bind_state *S, int module, int methods, int meta) {
  for (const peri_op_group *group = peri_op_groups; group->rows != NULL; group++) {
    for (const peri_op *const *row = group->rows; *row != NULL; row++) {
      if (!((*row)->flags & PERI_OP_INTERNAL)) register_row(L, S, *row, module, methods, meta);
    }
  }
}

/* ---- the table, for help, the reference and the tests ---- */

static const char *const kind_names[] = {
    [PERI_KIND_TENSOR] = "tensor",     [PERI_KIND_OPERAND] = "operand", [PERI_KIND_TENSORS] = "tensors",
    [PERI_KIND_INDICES] = "indices",   [PERI_KIND_NUMBER] = "number",   [PERI_KIND_INTEGER] = "integer",
    [PERI_KIND_INDEX] = "index",       [PERI_KIND_BOOL] = "bool",       [PERI_KIND_DIM] = "dim",
    [PERI_KIND_DIMS] = "dims",         [PERI_KIND_NUMBERS] = "numbers", [PERI_KIND_SHAPE] = "shape",
    [PERI_KIND_INTEGERS] = "integers", [PERI_KIND_DTYPE] = "dtype",     [PERI_KIND_CHOICE] = "choice",
    [PERI_KIND_TEXT] = "text",         [PERI_KIND_AXES] = "axes"};
static const struct {
  unsigned flag;
  const char *name;
} flag_names[] = {{PERI_OP_IN_PLACE, "in_place"},       {PERI_OP_VIEW, "view"},
                  {PERI_OP_WRITES, "writes"},           {PERI_OP_ELEMENTWISE, "elementwise"},
                  {PERI_OP_RANDOM, "random"},           {PERI_OP_CREATES, "creates"},
                  {PERI_OP_NO_METHOD, "no_method"},     {PERI_OP_ALLOCATES, "allocates"},
                  {PERI_OP_NO_GRADIENT, "no_gradient"}, {PERI_OP_JOINS, "joins"}};

static void push_params(lua_State *L, const peri_op *op) {
  lua_newtable(L);
  for (int i = 0; i < PERI_MAX_PARAMS && op->params[i].name != NULL; i++) {
    const peri_param *param = &op->params[i];
    lua_createtable(L, 0, 5);
    lua_pushstring(L, param->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, kind_names[param->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushboolean(L, param->optional);
    lua_setfield(L, -2, "optional");
    lua_pushboolean(L, param->named);
    lua_setfield(L, -2, "named");
    lua_pushstring(L, param->choices);
    lua_setfield(L, -2, "choices");
    lua_pushboolean(L, param->count != 0);
    lua_setfield(L, -2, "counted");
    lua_pushboolean(L, param->spread);
    lua_setfield(L, -2, "spread");
    lua_rawseti(L, -2, i + 1);
  }
}

/* peri.ops(): a list of {name, also, subject, params, outputs or list, doc, sample, low, high, gradient, metamethod,
 * flags...}
 */
int bind_list_ops(lua_State *L) {
  int n = 0;
  lua_newtable(L);
  for (const peri_op_group *group = peri_op_groups; group->rows != NULL; group++) {
    for (const peri_op *const *row = group->rows; *row != NULL; row++) {
      const peri_op *op = *row;
      if (op->flags & PERI_OP_INTERNAL) continue;
      lua_createtable(L, 0, 16);
      lua_pushstring(L, op->name);
      lua_setfield(L, -2, "name");
      lua_pushstring(L, op->doc);
      lua_setfield(L, -2, "doc");
      lua_pushstring(L, op->sample);
      lua_setfield(L, -2, "sample");
      lua_pushstring(L, op->metamethod);
      lua_setfield(L, -2, "metamethod");
      lua_pushstring(L, op->also);
      lua_setfield(L, -2, "also");
      lua_pushstring(L, group->subject);
      lua_setfield(L, -2, "subject");
      lua_pushboolean(L, op->list != NULL);
      lua_setfield(L, -2, "list");
      lua_pushinteger(L, bind_shown_outputs(op));
      lua_setfield(L, -2, "outputs");
      lua_pushnumber(L, op->low);
      lua_setfield(L, -2, "low");
      lua_pushnumber(L, op->high);
      lua_setfield(L, -2, "high");
      lua_pushboolean(L, op->grad != NULL || (op->compose != NULL && !(op->flags & PERI_OP_NO_GRADIENT)));
      lua_setfield(L, -2, "gradient");
      for (size_t f = 0; f < PERI_COUNT(flag_names); f++) {
        lua_pushboolean(L, (op->flags & flag_names[f].flag) != 0);
        lua_setfield(L, -2, flag_names[f].name);
      }
      push_params(L, op);
      lua_setfield(L, -2, "params");
      lua_rawseti(L, -2, ++n);
    }
  }
  return 1;
}
