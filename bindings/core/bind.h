/* What the bindings share: the state that belongs to one Lua state, handles, errors, options.
 *
 *   bind.c       the state, and what is registered in it
 *   classes.c    classes of userdata
 *   errors.c     errors, and values in words
 *   handles.c    handles of tensors, and the collector's charge
 *   rows.c       calls of rows
 *   arguments.c  what they are given
 *   index.c      x[key]; key.c reads the key
 *   hooks.c      functions of scripts that a walk back calls
 *   replay.c     steps that are replayed; closure.c what their functions rest on
 *   options.c    options, names of files and dtypes
 *
 * A handle is a userdata that owns one reference. The order of every binding: check arguments (owns
 * nothing), push an empty handle, call the runtime, which fills it, raise when the status says so. Every
 * C function of the module has the bind_state as its first upvalue.
 *
 * Whenever Lua allocates, a finaliser of the script may run, and release or replace whatever it reaches. So:
 *   - What a call reads through a handle on its stack stays alive until the call returns: a release by a
 *     finaliser only parks the reference, and the collector drops it with the handle.
 *   - A handle that stands in a script's table alone is moved to the stack, or to a table of our own.
 *   - What is reached through an object (a layer's parameter, x.grad) is read at its place after the last
 *     allocation, or at once given a handle.
 *   - Scripts' tables are read raw. Who calls a function of the script works on handles, or values, that the
 *     script cannot reach.
 *   - An object that was collected in the same cycle is there but dead: every accessor asks. */
#ifndef PERI_BIND_H
#define PERI_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <perilune/lua.h>

#include "bindings/core/lua_later.h"

#include "base/option.h"
#include "ops/ops.h"
#include "tensor/tensor.h"

/* The classes of userdata that scripts hold. */
typedef enum bind_kind {
  BIND_NONE,
  BIND_TENSOR,
  BIND_LAYER,
  BIND_CONTAINER,
  BIND_OBJECT,
  BIND_BUFFER,
  BIND_OPTIMIZER,
  BIND_GROUP,
  BIND_SCHEDULE,
  BIND_LOADER,
  BIND_GENERATOR,
  BIND_REPLAY,
  BIND_HOOK,
  BIND_ESTIMATOR, /* the first of several, in the order of svm.c's list */
  BIND_KINDS = BIND_ESTIMATOR + 8
} bind_kind;

typedef struct bind_hook bind_hook;

typedef struct bind_state {
  peri_context *context;
  const char *(*called[BIND_KINDS])(lua_State *L, int index); /* what messages call an object of a class, or NULL */
  const void *meta[BIND_KINDS];  /* lua_topointer of each class's metatable, and its key in the registry */
  size_t charge_at;              /* tensor bytes at which the collector runs next */
  size_t full_at, slice;         /* at which it does all its work at once, and between two steps of it */
  size_t stepped_at;             /* after the last step */
  unsigned handles;              /* made since the last collection, or step */
  unsigned handles_at;           /* how many run the collector */
  bool young;                    /* its last step freed what was young: it is a generational one */
  bool probed;                   /* it has found the object that was made for it to be found */
  unsigned known, known_at;      /* handles put among the known since these moved, and how many move them */
  bind_hook *hooks, *dead_hooks; /* functions of scripts that the runtime holds, and those it has let go (hooks.h) */
  struct bind_walk *walk;        /* the walk back that a script has begun, or NULL */
  peri_status raised;            /* of the last error, whose value stands in the registry */
  lua_State *running;            /* the thread of the last call of the runtime: where an anomaly's place is read */
  void (*push_path)(lua_State *L, struct bind_state *S); /* pushes the way to the layer that runs (nn), or NULL */
  lua_Integer last_hook;                                 /* the number of the last */
  peri_text_options print;     /* how tensors are printed; a line_width of 0 is the terminal's */
  peri_context closed;         /* the context once the Lua state is closing: it has no memory */
  struct peri_interrupt quiet; /* and its interrupt */
} bind_state;

/* Raises what has stopped the context. Never returns. */
int bind_stop(lua_State *L, bind_state *S);

/* Handles made between two collections, or steps of one. With many more small tensors the free lists go through more
 * memory than the second-level cache holds, and a small training step takes twice as long. To measure: ./dev bench
 * circle. */
#define BIND_HANDLES 1500

/* The state's bind_state: by upvalue in our own closures, by registry anywhere.
 *
 * Every function of the module begins with bind_here, which is where it ends when the host has stopped the context:
 * before it does anything. bind_here_always is for what lets go, tells what is in use, or puts something back. */
static inline bind_state *bind_here_always(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }
static inline bind_state *bind_here(lua_State *L) {
  bind_state *S = bind_here_always(L);
  if (peri_cancelled(S->context)) bind_stop(L, S);
  return S;
}
bind_state *bind_open(lua_State *L, const peri_options *options);
/* The same with a context that is there; the state takes the reference. */
bind_state *bind_open_in(lua_State *L, peri_context *context);
/* Takes what dead hooks held out of Lua's tables. */
void bind_sweep_dead_hooks(lua_State *L, bind_state *S);
static inline void bind_sweep_hooks(lua_State *L, bind_state *S) {
  if (S->dead_hooks != NULL) bind_sweep_dead_hooks(L, S);
}
/* The Lua state is closing: hooks that the runtime still holds have no function any more. */
void bind_close_hooks(bind_state *S);
/* What it opens of other files. */
void bind_open_handles(lua_State *L, bind_state *S);
void bind_open_classes(lua_State *L);
void bind_open_errors(lua_State *L);

/* lua_pushcclosure with the bind_state as upvalue 1 and n further upvalues taken from the stack. */
void bind_push_function(lua_State *L, bind_state *S, lua_CFunction function, int n);
/* Registers a list into the table on top of the stack. */
void bind_set_functions(lua_State *L, bind_state *S, const luaL_Reg *list);

/* Pushes the internal table: what the module's own Lua files need and no script may have, such as programs that are
 * run. A part's chunk is given it after the module's table, and hands pieces of it on; nothing that a script can reach
 * holds it. It stands in the registry as "perilune.internal", where specs look. */
void bind_push_internal(lua_State *L);
/* The table at index holds the methods of objects that only a call gives, for help and the reference, which find it in
 * the list internal.class_list; in Lua it is the metatable of such objects as well, internal.classes[name]. The name
 * begins with that of the part ("optim.optimizer"). The reference has a section with the title at the end of the
 * part's, one for all classes of the part that have the same; without title (NULL) it leaves them out. */
void bind_set_class(lua_State *L, const char *name, const char *title, int index);
/* Lets messages know the table at index as a part of the module: "nn". A function of it that is called with the part
 * itself first was called with a colon. */
void bind_set_part(lua_State *L, int index, const char *name);
/* Pushes the name of the part at index, or nil. */
void bind_push_part_name(lua_State *L, int index);
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
/* The same into the table at index. */
void bind_add_functions(lua_State *L, bind_state *S, int index, const bind_function *list);
/* Gives the function (or other value) at the stack's top its documentation. */
void bind_document(lua_State *L, const char *doc);
/* The same with a text that is a Lua string at index. */
void bind_document_value(lua_State *L, int index);
/* Pushes the documentation of the value at index, or nil. */
void bind_push_document(lua_State *L, int index);

/* ---- classes of userdata ----
 * One registrar for all. Its functions have the bind_state as upvalue 1, the class's owner (a row, or NULL) as upvalue
 * 2; metamethods have the table of methods as upvalue 3.
 *
 * What one cycle of the collector finds is finalised one after the other, and a finaliser of the script may use what
 * was finalised before it. So the last act of a __gc makes the userdata an object of another class, on which every
 * access, and every check of an argument, fails with a message. */
typedef struct bind_class {
  bind_kind kind;
  const char *name; /* __name */
  const void *owner;
  void (*collect)(void *object); /* frees what it owns; NULL: nothing */
  const bind_function *methods;
  const luaL_Reg *metamethods;
  const char *(*called)(lua_State *L, int index); /* what messages call an object, which may push it: "Linear"; NULL:
                                                     the last word of `name` */
} bind_class;
/* Makes the class, with a table of methods that looks for the rest in that at index `parent` (0: none), and pushes that
 * table. */
void bind_open_class(lua_State *L, bind_state *S, const bind_class *class, int parent);
/* Pushes a function with the owner as upvalue 2 and n further upvalues from the stack. */
void bind_push_member(lua_State *L, bind_state *S, const void *owner, lua_CFunction function, int n);
/* Puts a documented function with that owner into the table on the stack's top. */
void bind_set_member(lua_State *L, bind_state *S, const void *owner, const char *name, lua_CFunction function,
                     const char *doc);
/* Pushes a zeroed object of the class with user values. */
void *bind_push_object(lua_State *L, bind_state *S, bind_kind kind, size_t size, int values);
/* Whether the value at index is of the class; and of which it is. */
bool bind_is(lua_State *L, const bind_state *S, int index, bind_kind kind);
bind_kind bind_kind_of(lua_State *L, const bind_state *S, int index);
/* Pushes zeroed bytes that no script sees, with a finaliser. */
void *bind_push_box(lua_State *L, size_t size, lua_CFunction collect);

/* ---- errors ---- */

/* Raises the context's message, with the script's position. Never returns. */
int bind_raise(lua_State *L, bind_state *S, peri_status status);
/* Every call of the runtime that can fail: raises its message. When memory is short the call is made once more after a
 * full collection, so that its arguments are evaluated twice and must not allocate in Lua. */
#define BIND_TRY(L, S, call)                                                                                           \
  do {                                                                                                                 \
    (S)->running = (L);                                                                                                \
    peri_status bind_status = (call);                                                                                  \
    if (bind_retry(L, bind_status)) bind_status = (call);                                                              \
    if (bind_status != PERI_OK) bind_raise(L, S, bind_status);                                                         \
  } while (0)
/* Which status the value at index was raised with by bind_raise, bind_error or bind_tell_error; PERI_ERR_SCRIPT: none.
 */
peri_status bind_error_status(lua_State *L, const bind_state *S, int index);
/* The string on the top stands for an error of that status. */
void bind_tell_error(lua_State *L, bind_state *S, peri_status status);
/* Whether memory was short; then a full collection has been made. */
bool bind_retry(lua_State *L, peri_status status);
/* luaL_error with the operation's name (or nothing: NULL) in front: bind_error(L, "SGD", "lr is %f", x). The position
 * is the script's, also when the C function was called through several others. */
int bind_error(lua_State *L, const char *operation, const char *format, ...);

/* ---- tensors ---- */

/* What a tensor's userdata holds. */
typedef struct bind_handle {
  peri_tensor *tensor; /* NULL: released */
  peri_tensor *parked; /* what a finaliser released while a call may have been at work on it */
  const void *mark;    /* bind_handle_mark, by which its __gc knows it: sooner than by its metatable */
} bind_handle;
extern const char bind_handle_mark;

/* Pushes an empty tensor handle; fill *handle with a reference. Handles of parameters and gradients
 * are to be pushed with bind_push_tensor instead. */
peri_tensor **bind_new_tensor(lua_State *L, bind_state *S);
/* Pushes a handle for the tensor at a place (it retains), nil when there is none by then: leaves that require grad and
 * gradients have one handle per state while one is alive. */
void bind_push_tensor(lua_State *L, bind_state *S, peri_tensor *const *place);
/* Whether a finaliser runs, which may be within any call that allocates. */
bool bind_in_finaliser(lua_State *L);
/* After a leaf began to require grad: its handle at `index` becomes the one handle. */
void bind_register_handle(lua_State *L, bind_state *S, int index);
/* The place of the tensor in its handle at index, or NULL when there is no handle. */
peri_tensor **bind_to_handle(lua_State *L, bind_state *S, int index);
/* The tensor at index, or NULL when there is no live tensor handle. */
peri_tensor *bind_to_tensor(lua_State *L, bind_state *S, int index);
/* Whether a tensor's handle is there but was released. */
bool bind_is_released(lua_State *L, bind_state *S, int index);
/* Raises `operation: name must be a tensor, got ...`. */
peri_tensor *bind_check_tensor(lua_State *L, bind_state *S, int index, const char *operation, const char *name);
/* The same, which may also be a source: lent memory of a dtype that operations do not take. */
peri_tensor *bind_check_source(lua_State *L, bind_state *S, int index, const char *operation, const char *name);
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

/* Reads the table at index (none or nil: all defaults) into values, in row order. Each option has as
 * many values as it has numbers (base/option.h). Raises on unknown
 * names (listing the known), wrong kinds and values out of range. Names in `also` (NULL-terminated,
 * may be NULL) are left to the caller. */
void bind_options(lua_State *L, int index, const char *operation, const peri_option *options, const char *const *also,
                  double *values);
/* Whether the table at index is no options but what read_csv gives third: read_csv(..) stands last among arguments. */
bool bind_is_contents(lua_State *L, int index);
/* Pushes the entry of the table at index (nil when there is no table) and returns its type. No metatable is asked: an
 * __index could release what the caller works on. */
int bind_push_entry(lua_State *L, int index, const char *name);
/* The position of a word in a list of words separated by spaces, or -1. */
int bind_choice(const char *choices, const char *word);
/* The position of the word at index; raises `name must be one of ..`, with the word that may have been meant. */
int bind_check_choice(lua_State *L, int index, const char *operation, const char *name, const char *choices);
/* Pushes ": did you mean WORD?" for what stands at index, or an empty text; leaves more on the stack: it is for an
 * error to be raised. */
const char *bind_push_meant(lua_State *L, const char *choices, int index);
/* The whole number from `low` at index. */
lua_Integer bind_check_whole(lua_State *L, int index, const char *operation, const char *name, lua_Integer low);
/* A file's name at index. */
const char *bind_check_path(lua_State *L, int index, const char *operation);
/* A dtype's name at index. */
peri_dtype bind_check_dtype(lua_State *L, int index, const char *operation);

/* ---- parts of the module: each fills or pushes its table (upvalue idiom as above) ---- */
void bind_open_tensor(lua_State *L, bind_state *S); /* with the module's table on top: tensor, rows, grad mode */
void bind_open_nn(lua_State *L, bind_state *S);     /* pushes peri.nn */
void bind_open_optim(lua_State *L, bind_state *S);  /* pushes peri.optim */
void bind_open_data(lua_State *L, bind_state *S);   /* pushes peri.data, without what is written in Lua */
void bind_open_files(lua_State *L, bind_state *S);  /* with the module's table on top: save, load */
void bind_open_replay(lua_State *L, bind_state *S); /* with the module's table on top: replay */
void bind_open_svm(lua_State *L, bind_state *S);    /* pushes peri.svm */
/* pushes internal.data: what lua/ needs beside peri.data */
void bind_open_data_internal(lua_State *L, bind_state *S);
/* pushes internal.steps: epochs of a training in one call */
void bind_open_steps(lua_State *L, bind_state *S);
/* pushes internal.kernels: svm.kernel_matrix and what lua/svm.lua needs beside it */
void bind_open_kernels(lua_State *L, bind_state *S);
/* pushes internal.model */
void bind_open_models(lua_State *L, bind_state *S);

#endif
