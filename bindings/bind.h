/* What the bindings share: the state that belongs to one Lua state, handles, errors, options.
 *
 * A handle is a userdata of one pointer that owns one reference. The order of every binding: check
 * arguments (owns nothing), push an empty handle, call the runtime, which fills it, raise when the
 * status says so. Every C function of the module has the bind_state as its first upvalue. */
#ifndef PERI_BIND_H
#define PERI_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <perilune/lua.h>

#include "base/option.h"
#include "ops/ops.h"
#include "tensor/tensor.h"

typedef struct bind_state {
  peri_context *context;
  const void *tensor_meta; /* lua_topointer of the metatable of tensors, and its key in the registry */
  size_t charge_at;        /* tensor bytes at which the collector runs next */
  unsigned handles;        /* made since the last collection */
  unsigned handles_at;     /* how many run the collector */
  peri_context closed;     /* the context once the Lua state is closing: it has no memory */
} bind_state;

/* Handles made between two collections. With many more small tensors the free lists go through more
 * memory than the second-level cache holds, and a small training step takes twice as long. But a collection
 * walks all that lives in Lua: beside much of that there are more handles, one for so many bytes. */
#define BIND_HANDLES          1500
#define BIND_BYTES_PER_HANDLE 128

#define BIND_TENSOR "perilune.Tensor"

/* The state's bind_state: by upvalue in our own closures, by registry anywhere. */
static inline bind_state *bind_here(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }
bind_state *bind_open(lua_State *L, const peri_options *options);

/* lua_pushcclosure with the bind_state as upvalue 1 and n further upvalues taken from the stack. */
void bind_push_function(lua_State *L, bind_state *S, lua_CFunction function, int n);
/* Registers a list into the table on top of the stack. */
void bind_set_functions(lua_State *L, bind_state *S, const luaL_Reg *list);

/* Pushes the internal table: what the module's own Lua files need and no script may have, such as programs that are
 * run. A part's chunk is given it after the module's table, and hands pieces of it on; nothing that a script can reach
 * holds it. It stands in the registry as "perilune.internal", where specs look. */
void bind_push_internal(lua_State *L);
/* Registers a list as internal[name]. */
void bind_set_internal(lua_State *L, bind_state *S, const char *name, const luaL_Reg *list);

/* Functions with their documentation: first line "name(parameters) -> result", then what it does. */
typedef struct bind_function {
  const char *name; /* NULL ends a list */
  lua_CFunction function;
  const char *doc;
} bind_function;
/* As bind_set_functions; help() and the reference find the documentation by the function. */
void bind_set_documented(lua_State *L, bind_state *S, const bind_function *list);
/* Gives the function (or other value) at the stack's top its documentation. */
void bind_document(lua_State *L, const char *doc);
/* The same with a text that is a Lua string at index. */
void bind_document_value(lua_State *L, int index);
/* Pushes the documentation of the value at index, or nil. */
void bind_push_document(lua_State *L, int index);

/* ---- errors ---- */

/* Raises the context's message, with the script's position. Never returns. */
int bind_raise(lua_State *L, bind_state *S);
/* Raises when the status is not PERI_OK. When memory is short the caller may try again after a full
 * collection: bind_retry says whether (once), having collected. */
static inline void bind_check(lua_State *L, bind_state *S, peri_status status) {
  if (status != PERI_OK) bind_raise(L, S);
}
/* The idiom:  do status = runtime_call(...); while (bind_retry(L, S, status, &tries));  bind_check(L, S, status); */
bool bind_retry(lua_State *L, bind_state *S, peri_status status, int *tries);
/* luaL_error with the operation's name (or nothing: NULL) in front: bind_error(L, "SGD", "lr is %f", x). The position
 * is the script's, also when the C function was called through several others. */
int bind_error(lua_State *L, const char *operation, const char *format, ...);

/* ---- tensors ---- */

/* Pushes an empty tensor handle; fill *handle with a reference. Handles of parameters and gradients
 * are to be pushed with bind_push_tensor instead. */
peri_tensor **bind_new_tensor(lua_State *L, bind_state *S);
/* Pushes a handle for a borrowed tensor (it retains): leaves that require grad and gradients have
 * one handle per state while one is alive. */
void bind_push_tensor(lua_State *L, bind_state *S, peri_tensor *tensor);
/* After a leaf began to require grad: its handle at `index` becomes the one handle. */
void bind_register_handle(lua_State *L, bind_state *S, int index);
/* The tensor at index, or NULL when there is no live tensor handle. */
peri_tensor *bind_to_tensor(lua_State *L, bind_state *S, int index);
/* Whether a tensor's handle is there but was released. */
bool bind_is_released(lua_State *L, bind_state *S, int index);
/* Raises `operation: name must be a tensor, got ...`. */
peri_tensor *bind_check_tensor(lua_State *L, bind_state *S, int index, const char *operation, const char *name);
/* Lets the collector know of new tensor bytes: call after work that made tensors. May collect. */
void bind_collect(lua_State *L, bind_state *S);
static inline void bind_charge(lua_State *L, bind_state *S) {
  if (S->context->in_use > S->charge_at || S->handles > S->handles_at) bind_collect(L, S);
}
/* "a number", "nil", "a tensor 3x4", for messages. */
const char *bind_describe(lua_State *L, int index);

/* ---- calls of rows from bindings ---- */

/* Runs the frame and leaves its shown outputs as handles on the stack; returns how many. Charges. */
int bind_run(lua_State *L, bind_state *S, peri_call *call);
/* One row on tensors alone: pushes the first output. */
void bind_apply(lua_State *L, bind_state *S, const peri_op *op, int n, peri_tensor *const *operands);

/* ---- options ---- */

/* Reads the table at index (none or nil: all defaults) into values, in row order. Raises on unknown
 * names (listing the known), wrong kinds and values out of range. Names in `also` (NULL-terminated,
 * may be NULL) are left to the caller. */
void bind_options(lua_State *L, int index, const char *operation, const peri_option *options, const char *const *also,
                  double *values);
/* The position of a word in a list of words separated by spaces, or -1. */
int bind_choice(const char *choices, const char *word);
/* A dtype's name at index. */
peri_dtype bind_check_dtype(lua_State *L, int index, const char *operation);

/* ---- parts of the module: each fills or pushes its table (upvalue idiom as above) ---- */
void bind_open_tensor(lua_State *L, bind_state *S); /* with the module's table on top: tensor, rows, grad mode */
void bind_open_nn(lua_State *L, bind_state *S);     /* pushes peri.nn */
void bind_open_optim(lua_State *L, bind_state *S);  /* pushes peri.optim */
void bind_open_data(lua_State *L, bind_state *S);   /* pushes peri.data, without what is written in Lua */
void bind_open_files(lua_State *L, bind_state *S);  /* with the module's table on top: save, load */
void bind_open_svm(lua_State *L, bind_state *S);    /* pushes peri.svm */
/* pushes peri._kernels: svm.kernel_matrix and what lua/svm.lua needs beside it */
void bind_open_kernels(lua_State *L, bind_state *S);

#endif
