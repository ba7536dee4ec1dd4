/* What the files of this room share. */
#ifndef PERI_PLAN_PARTS_H
#define PERI_PLAN_PARTS_H

#include "plan/plan.h"
#include "ops/ops.h"

typedef enum peri_plan_place {
  PERI_PLAN_INSIDE,   /* in the plan's block, from the step that makes it to the last that reads it */
  PERI_PLAN_ARGUMENT, /* the caller's, another at each replay */
  PERI_PLAN_OUTSIDE,  /* was there before the step; held */
  PERI_PLAN_CONSTANT, /* made by the recorded step once and for all; held */
  PERI_PLAN_MADE,     /* allocated anew by a step at each replay; held until the next */
  PERI_PLAN_LOST      /* within a gradient that is made as a whole: nobody else may see it */
} peri_plan_place;

/* A place of a tensor of the plan in its buffer. */
typedef struct peri_shell {
  peri_tensor tensor; /* counts itself once, so that it never dies */
  struct peri_buffer *buffer;
  ptrdiff_t offset; /* bytes from the buffer's first */
  struct peri_shell *next;
} peri_shell;

/* What stands in the place of a storage. */
typedef struct peri_buffer {
  peri_plan_place place;
  peri_storage storage;   /* INSIDE */
  peri_tensor *held;      /* OUTSIDE, CONSTANT, MADE; a fresh result while a replay runs */
  const peri_storage *at; /* OUTSIDE, ARGUMENT while recording: whose it is */
  const char *base;       /* ARGUMENT while recording: where its first element lies */
  int argument;
  int64_t bytes, offset; /* INSIDE: in the block */
  int first, last;       /* steps: which makes it, and which reads it last */
  int from, to;          /* the same by places in the list, where a joined step is one */
  bool even;             /* what joined steps touch of it is all of it */
  int mentions;          /* in steps and results */
  bool admitted, written, fresh;
  bool in_blocks; /* INSIDE: never there as a whole, a block at a time only (join.c) */
  bool writes;    /* OUTSIDE: whatever of the step writes to it, calls, optimisers, layers */
  peri_shell *shells;
} peri_buffer;

typedef enum peri_action_kind {
  PERI_ACTION_CALL,
  PERI_ACTION_PLAIN, /* a call that needs nothing but to be run */
  PERI_ACTION_CHECK,
  PERI_ACTION_COPY,
  PERI_ACTION_GRADIENT,
  PERI_ACTION_PART,
  PERI_ACTION_ACT,
  PERI_ACTION_SET, /* a gradient that was zeros, and to which one arrives: 0 + it */
  PERI_ACTION_STOP,
  PERI_ACTION_JOINED /* several, a block of elements after the other */
} peri_action_kind;

typedef struct peri_whole_gradient {
  peri_backward B; /* as the walk made it, over shells */
  peri_tensor **supply;
  int supplied;
  peri_buffer *made[]; /* by edge: where an answer goes, or NULL */
} peri_whole_gradient;

typedef struct peri_action {
  peri_action_kind kind;
  bool early;                            /* its check is made before the step begins */
  bool shielded, writes, infers, counts; /* counts: versions of outputs, by which products know packed weights */
  const char *name;
  peri_status (*run)(peri_call *call); /* CALL, PLAIN, and CHECK: infer */
  peri_call *call;                     /* the same */
  peri_whole_gradient *gradient;
  peri_act act;
  peri_status (*part)(const void *note, peri_tensor *const *tensors);
  const void *note;  /* of a part; of a call whose run writes over its notes: infer's */
  size_t note_bytes; /* of a part */
  int tensors_n;
  peri_tensor **tensors;
  peri_shell *target, *source; /* COPY, SET; STOP: source */
  int since;                   /* SET: behind how many actions it became zeros */
  bool direct;                 /* SET: whoever makes the source writes to the target in its place */
  bool aside;                  /* and a run that ended between both has put it aside, into the source */
  peri_buffer *workspace;
  struct peri_joined *joined; /* JOINED */
  peri_ready *ready;          /* in place of all that, where it is not NULL */
  double seconds;
  int64_t bytes, products;
} peri_action;

typedef struct peri_leaf {
  peri_tensor *leaf, *gradient; /* the leaf is held; the gradient, or NULL, is known by its address alone */
  bool requires_grad;
} peri_leaf;

typedef struct peri_plan_chunk {
  struct peri_plan_chunk *next;
  size_t bytes;
} peri_plan_chunk;

struct peri_plan {
  peri_recorder recorder; /* first */
  peri_context *context;
  bool recording, running, opened, stopped, timed;
  bool aside;              /* some action's */
  int at;                  /* of the run that is under way: the action */
  peri_plan_chunk *chunks; /* frames and shells */
  char *free;
  size_t left;
  /* lists; *_room is for how many there is room */
  peri_buffer **buffers;
  int buffers_n, buffers_room;
  peri_action *actions;
  int actions_n, actions_room;
  int early_n; /* actions up to the last that is checked early */
  peri_guard *guards;
  int guards_n, guards_room;
  peri_leaf *leaves;
  int leaves_n, leaves_room;
  int *by_number; /* of storages made since `first`: which buffer, plus 1 */
  int numbers_n, numbers_room;
  peri_layout *arguments;
  peri_buffer **argument_buffers;
  int arguments_n;
  peri_shell **results;
  int results_n;
  uint64_t number;
  uint64_t first; /* how many storages there were before the step */
  bool grad_mode;
  bool borrows;       /* holds memory that is lent */
  bool borrowed;      /* recorded with arguments that are lent */
  bool stands_apart;  /* what joined steps write to outside must be no memory that an argument lends */
  uint64_t hooked;    /* the context's */
  peri_stream stream; /* where the default one stands, as far as calls explain it */
  /* the gradient that is under way */
  bool within, whole;
  int mark, mark_buffers;
  peri_tensor **supply; /* made in it */
  int supply_n, supply_room;
  char *block;
  int64_t block_bytes;
};

/* ---- lists, buffers, shells (buffers.c): NULL or false, and refused, where memory is short ---- */
void *peri_plan_no_memory(peri_plan *plan);                                       /* refuses; NULL */
void *peri_plan_room(peri_plan *plan, size_t bytes);                              /* zeroed; as long as the plan */
bool peri_plan_grow(peri_plan *plan, void **list, int n, int *room, size_t size); /* room for one element more */
#define PERI_PLAN_GROW(plan, list)                                                                                     \
  peri_plan_grow(plan, (void **)&(plan)->list, (plan)->list##_n, &(plan)->list##_room, sizeof *(plan)->list)
static inline bool peri_plan_is_refused(const peri_plan *plan) { return plan->recorder.refused[0] != '\0'; }
/* What was made since the recording began is found by its number. */
static inline bool peri_plan_is_new(const peri_plan *plan, const peri_storage *storage) {
  return storage->number > plan->first;
}
peri_buffer *peri_plan_add_buffer(peri_plan *plan, peri_plan_place place);
peri_buffer *peri_plan_known(peri_plan *plan, const peri_storage *storage); /* NULL: there is none yet */
peri_buffer *peri_plan_buffer(peri_plan *plan, peri_tensor *x);             /* also of what was there before the step */
peri_buffer *peri_plan_new_buffer(peri_plan *plan, peri_tensor *x, peri_plan_place place);
peri_shell *peri_plan_shell(peri_plan *plan, const peri_tensor *x); /* NULL, and refused, where it is not known */
void peri_shells_move(peri_buffer *buffer, peri_storage *storage, char *base);
bool peri_plan_lay_out(peri_plan *plan); /* where in the block each buffer lies, by their lives, and its size */
void peri_plan_share(peri_plan *plan);   /* allocates the block */

/* ---- recording (record.c) ---- */
extern const peri_recorder peri_plan_recorder;
/* Whether infer may have read values of a tensor that is parameter i: of whole numbers and bools it may, where the row
 * does not say otherwise. */
bool peri_plan_reads(const peri_op *op, int i, const peri_tensor *x);
void peri_plan_drop_supply(peri_plan *plan);

/* ---- what is done to the list of steps in the end ---- */
/* Zeros that are written only to be added to are left out: the first addition writes 0 + x, or whoever makes x does
 * (zeros.c). */
void peri_plan_join_zeros(peri_plan *plan);
/* Elementwise neighbours become one step (join.c); places the buffers. */
void peri_plan_join(peri_plan *plan);
/* What rows find out anew at each run is noted once (ready.c): the last thing that is done. */
void peri_plan_make_ready(peri_plan *plan);

/* ---- joined steps (joined.c) ---- */
#define PERI_JOINED_BLOCK 2048 /* elements: a few values of a run stay in the first cache */
typedef struct peri_joined_operand {
  const peri_shell *shell;
  bool uniform; /* one element, which stands for all */
  int slot;     /* of a value that is there a block at a time, else -1 */
} peri_joined_operand;
typedef struct peri_joined {
  int64_t numel;
  int n, operands_n;
  peri_action *steps;
  peri_joined_operand *operands; /* each tensor of the steps, once */
  int slots;
  int64_t slot_bytes;
  bool writes; /* to what is there before or after the plan: nothing stops it then */
  int seats_n;
  size_t seat_bytes;
  char *seats; /* of threads: frames over blocks, and the slots */
} peri_joined;
peri_status peri_joined_open(peri_context *context, peri_joined *joined); /* seats for all threads */
peri_status peri_joined_run(peri_context *context, const peri_action *action);
void peri_joined_move(peri_joined *joined, peri_context *context);
void peri_joined_release(peri_context *context, peri_joined *joined);

bool peri_plans_alike(const peri_plan *a, const peri_plan *b); /* the same but for their tensors (alike.c) */
static inline bool peri_same_place(const peri_layout *a, const peri_layout *b) {
  const size_t bytes = (size_t)a->ndim * sizeof *a->shape;
  return a->dtype == b->dtype && a->ndim == b->ndim && memcmp(a->shape, b->shape, bytes) == 0 &&
         memcmp(a->strides, b->strides, bytes) == 0;
}

#endif
