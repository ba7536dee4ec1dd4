/* Groups of parameters: how scripts write them, and the objects by which they read and change them. */
#include "optim.h"

#include "bindings/core/names.h"
#include "bindings/core/options.h"

#include <string.h>

/* ---- reading ---- */

/* The list of tensors at index as an array in a userdata; both it and the handles are put into the table of anchors,
 * because the caller's table may be weak. `of` ends the names of messages: " of group 2". */
static peri_tensor **read_tensors(lua_State *L, bind_state *S, const char *operation, int index, const char *of,
                                  int anchors, int64_t *n) {
  if (!lua_istable(L, index)) {
    bind_error(L, operation, "%s%s must be a list of tensors (see net:parameters()), got %s",
               *of == '\0' ? "parameters" : "params", of, bind_describe(L, index));
  }
  const lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  lua_createtable(L, (int)count, 0);
  const int handles = lua_gettop(L);
  peri_tensor **list = lua_newuserdatauv(L, (size_t)count * sizeof *list, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, index, i + 1);
    list[i] = bind_to_tensor(L, S, -1);
    if (list[i] == NULL) {
      const char *name = lua_pushfstring(L, "parameter %I%s", i + 1, of);
      bind_check_tensor(L, S, -2, operation, name);
    }
    lua_rawseti(L, handles, i + 1);
  }
  for (int i = 0; i < 2; i++) lua_rawseti(L, anchors, (lua_Integer)lua_rawlen(L, anchors) + 1);
  *n = count;
  return list;
}

/* The table {params =, lr =, ..} at index, as the group of that number (from 1); what it does not say are the options
 * of `defaults`. The arrays go into the table of anchors. */
static void read_group(lua_State *L, bind_state *S, const peri_optimizer_kind *kind, int index, lua_Integer number,
                       const double *defaults, int anchors, peri_optimizer_part *part) {
  static const char *const also[] = {"params", NULL};
  const int top = lua_gettop(L);
  if (lua_type(L, index) != LUA_TTABLE) {
    bind_error(L, kind->name, "group %I must be a table such as {params = net:parameters(), lr = 0.1}, got %s", number,
               bind_describe(L, index));
  }
  double *options = lua_newuserdatauv(L, PERI_OPTIMIZER_OPTIONS * sizeof *options, 0);
  lua_rawseti(L, anchors, (lua_Integer)lua_rawlen(L, anchors) + 1);
  memcpy(options, defaults, PERI_OPTIMIZER_OPTIONS * sizeof *options);
  bind_read_options(L, index, lua_pushfstring(L, "%s: group %I", kind->name, number), kind->options, also, options);
  bind_push_entry(L, index, "params");
  const char *of = lua_pushfstring(L, " of group %I", number);
  part->options = options;
  part->parameters = read_tensors(L, S, kind->name, lua_gettop(L) - 1, of, anchors, &part->n);
  lua_settop(L, top);
}

/* Whether the list at index is one of groups. */
static bool is_groups(lua_State *L, int index) {
  if (!lua_istable(L, index)) return false;
  const bool table = lua_rawgeti(L, index, 1) == LUA_TTABLE;
  lua_pop(L, 1);
  return table;
}

peri_optimizer *optim_new(lua_State *L, bind_state *S, const peri_optimizer_kind *kind, int parameters, int options,
                          int values) {
  double defaults[PERI_OPTIMIZER_OPTIONS] = {0};
  peri_optimizer_part single = {.options = defaults}, *parts = &single;
  int64_t n = 1;
  bind_options(L, options, kind->name, kind->options, NULL, defaults);
  lua_newtable(L);
  const int anchors = lua_gettop(L);
  if (is_groups(L, parameters)) {
    n = (int64_t)lua_rawlen(L, parameters);
    parts = lua_newuserdatauv(L, (size_t)n * sizeof *parts, 0);
    for (lua_Integer g = 1; g <= n; g++) {
      lua_rawgeti(L, parameters, g);
      read_group(L, S, kind, lua_gettop(L), g, defaults, anchors, &parts[g - 1]);
      lua_pop(L, 1);
    }
  } else {
    single.parameters = read_tensors(L, S, kind->name, parameters, "", anchors, &single.n);
  }
  peri_optimizer **handle = bind_push_object(L, S, BIND_OPTIMIZER, sizeof *handle, values);
  BIND_TRY(L, S, peri_optimizer_new(S->context, kind, n, parts, handle));
  bind_charge(L, S);
  return *handle;
}

int optim_add_param_group(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "add_param_group");
  double defaults[PERI_OPTIMIZER_OPTIONS] = {0};
  peri_optimizer_part part;
  lua_settop(L, 2);
  lua_newtable(L);
  peri_option_defaults(optimizer->kind->options, defaults);
  memcpy(defaults, optimizer->groups[0].options, sizeof defaults);
  read_group(L, S, optimizer->kind, 2, optimizer->groups_n + 1, defaults, 3, &part);
  BIND_TRY(L, S, peri_optimizer_add_group(optimizer, &part));
  bind_charge(L, S);
  lua_settop(L, 1);
  return 1;
}

/* ---- options of a group ---- */

bool optim_set_option(lua_State *L, bind_state *S, peri_optimizer *optimizer, int64_t group, const char *name,
                      int index) {
  const peri_optimizer_kind *kind = optimizer->kind;
  const int at = peri_optimizer_option(kind, name);
  double options[PERI_OPTIMIZER_OPTIONS];
  if (at < 0) return false;
  peri_refuse_replay(S->context, "it sets the %s of %s", name, kind->name);
  const peri_option *option = kind->options;
  while (strcmp(option->name, name) != 0) option++;
  memcpy(options, optimizer->groups[group].options, sizeof options);
  bind_read_option(L, index, kind->name, option, &options[at]);
  if (at == 0) {
    peri_optimizer_set_rate(optimizer, group, options[0]);
    return true;
  }
  BIND_TRY(L, S, peri_optimizer_check_options(optimizer, group, options, kind->name));
  memcpy(optimizer->groups[group].options, options, sizeof options);
  return true;
}

/* ---- groups as objects ----
 * One names its optimiser and its place there, and keeps the optimiser's handle. */

typedef struct group_object {
  peri_optimizer *optimizer;
  int64_t group;
} group_object;

static const group_object *check_group(lua_State *L) {
  if (!bind_is(L, bind_here(L), 1, BIND_GROUP))
    bind_error(L, "param_groups", "expected a group of parameters, got %s", bind_describe(L, 1));
  return lua_touserdata(L, 1);
}

void optim_push_groups(lua_State *L, bind_state *S, const peri_optimizer *optimizer) {
  lua_createtable(L, (int)optimizer->groups_n, 0);
  for (int64_t g = 0; g < optimizer->groups_n; g++) {
    group_object *object = bind_push_object(L, S, BIND_GROUP, sizeof *object, 1);
    object->optimizer = peri_optimizer_retain(*(peri_optimizer **)lua_touserdata(L, 1));
    object->group = g;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_rawseti(L, -2, g + 1);
  }
}

static void collect_group(void *object) { peri_optimizer_release(&((group_object *)object)->optimizer); }

static int push_params(lua_State *L, bind_state *S, const group_object *o) {
  const peri_optimizer_group group = o->optimizer->groups[o->group];
  lua_createtable(L, (int)group.n, 0);
  for (int64_t i = 0; i < group.n; i++) {
    peri_tensor *parameter = o->optimizer->slots[group.first + i].parameter; /* a finaliser may move the slots */
    bind_push_tensor(L, S, &parameter);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* Upvalue 3 holds the methods. */
static int group_index(lua_State *L) {
  const group_object *o = check_group(L);
  const peri_optimizer_kind *kind = o->optimizer->kind;
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (bind_push_named_option(L, kind->options, o->optimizer->groups[o->group].options, name)) return 1;
  if (strcmp(name, "params") == 0) return push_params(L, bind_here(L), o);
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_options(&guess, kind->options);
  bind_guess_name(&guess, "params");
  return bind_no_field(L, kind->name, bind_describe(L, 2), &guess);
}

static int group_newindex(lua_State *L) {
  const group_object *o = check_group(L);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (optim_set_option(L, bind_here(L), o->optimizer, o->group, name, 3)) return 0;
  return bind_error(L, o->optimizer->kind->name, "field %s of a group cannot be set (its options can)",
                    bind_describe(L, 2));
}

void optim_push_group_text(lua_State *L, const peri_optimizer *optimizer, int64_t group) {
  const peri_optimizer_kind *kind = optimizer->kind;
  double defaults[PERI_OPTIMIZER_OPTIONS];
  lua_newtable(L);
  peri_option_defaults(kind->options, defaults);
  bind_add_option_texts(L, kind->options, defaults, optimizer->groups[group].options);
  bind_join(L, ", ");
  lua_pushfstring(L, "%I parameters, {%s}", (lua_Integer)optimizer->groups[group].n, lua_tostring(L, -1));
  lua_remove(L, -2);
}

static int group_text(lua_State *L) {
  const group_object *o = check_group(L);
  optim_push_group_text(L, o->optimizer, o->group);
  lua_pushfstring(L, "group(%s)", lua_tostring(L, -1));
  return 1;
}

void optim_open_groups(lua_State *L, bind_state *S) {
  static const bind_function methods[] = {BIND_HAS("group"), {NULL, NULL, NULL}};
  static const luaL_Reg metamethods[] = {
      {"__index", group_index}, {"__newindex", group_newindex}, {"__tostring", group_text}, {NULL, NULL}};
  static const bind_class class = {.kind = BIND_GROUP,
                                   .name = "perilune.group",
                                   .collect = collect_group,
                                   .methods = methods,
                                   .metamethods = metamethods};
  bind_open_class(L, S, &class, 0);
  lua_pop(L, 1);
}
