/* Recording: what the rooms tell whoever records a step that is to be replayed (plan/). While context->recorder is
 * there, the dispatcher tells of calls, a walk back of gradients and leaves, an optimiser of its steps, layers of what
 * they rest on; and whoever gives values of tensors to a script, or does what cannot be made again without it, refuses.
 */
#ifndef PERI_RECORD_H
#define PERI_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <perilune/perilune.h>

struct peri_call;
struct peri_backward;
struct peri_stream;

/* What is done again as it is, by a function: an optimiser's step, gradients that become zeros. */
typedef struct peri_act {
  const char *name;
  peri_status (*run)(void *object);
  void (*release)(void *object);
  void *object;        /* with a reference, or memory of its own, that release lets go */
  peri_tensor *zeroed; /* all it does is that the gradient of this parameter becomes zeros; or NULL */
  bool apart;          /* no operation of the step sees what it changes, and it cannot fail */
} peri_act;

/* What must hold for what was recorded to be replayed. */
typedef struct peri_guard {
  bool (*holds)(const void *note);
  void (*release)(void *note);
  void *note;
} peri_guard;

/* What a kernel has computed in a gradient without an operation, and a function that does it again: from tensors behind
 * the first, which it writes, and a note, which is copied. */
typedef struct peri_kernel_part {
  const char *name;
  peri_status (*run)(const void *note, peri_tensor *const *tensors);
  const void *note;
  size_t bytes;
  int n;
  peri_tensor *const *tensors;
} peri_kernel_part;

#define PERI_REFUSED 160

typedef struct peri_recorder {
  char refused[PERI_REFUSED]; /* why it cannot be replayed, from the first that refused; "" so far */
  bool passing;               /* that was for a state that does not last */
  /* A call has run; `before` is where its stream stood, note what infer noted. */
  void (*call)(struct peri_recorder *r, const struct peri_call *call, const struct peri_stream *before,
               const int64_t *note);
  /* A row that is composed has been checked; its steps follow. */
  void (*check)(struct peri_recorder *r, const struct peri_call *call);
  /* Elements were copied, or filled, into an existing tensor, by no call. */
  void (*copy)(struct peri_recorder *r, peri_tensor *target, peri_tensor *source);
  /* A tensor was made whose elements follow from shapes and numbers alone, by no call. */
  void (*constant)(struct peri_recorder *r, peri_tensor *x);
  void (*part)(struct peri_recorder *r, const peri_kernel_part *part);
  /* A row's gradient begins, and has ended. In between, a result that is computed at once, by a kernel, was made (made:
   * what peri_formula_new gives; owned: otherwise). */
  void (*begin_gradient)(struct peri_recorder *r);
  void (*end_gradient)(struct peri_recorder *r, const struct peri_backward *B);
  void (*made)(struct peri_recorder *r, peri_tensor *x);
  void (*owned)(struct peri_recorder *r, peri_tensor *x);
  /* The gradient of a leaf is written to; it arrives, for the first time perhaps, or becomes zeros. */
  void (*leaf)(struct peri_recorder *r, peri_tensor *leaf, bool arrives);
  /* Both take what the act or the guard holds, also when they refuse. */
  void (*act)(struct peri_recorder *r, const peri_act *act);
  void (*guard)(struct peri_recorder *r, const peri_guard *guard);
  /* A tensor from outside whose owner a guard, or an act, watches. */
  void (*admit)(struct peri_recorder *r, peri_tensor *x);
} peri_recorder;

/* What happens now cannot be replayed: the words complete "cannot be replayed: ". */
void peri_refuse_recorder(peri_recorder *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of a state that does not last: another try may do. */
#define peri_refuse_this_time(context, ...)                                                                            \
  do {                                                                                                                 \
    if ((context)->recorder != NULL && (context)->recorder->refused[0] == '\0') {                                      \
      peri_refuse_recorder((context)->recorder, __VA_ARGS__);                                                          \
      (context)->recorder->passing = true;                                                                             \
    }                                                                                                                  \
  } while (0)
#define peri_refuse_replay(context, ...)                                                                               \
  do {                                                                                                                 \
    if ((context)->recorder != NULL) peri_refuse_recorder((context)->recorder, __VA_ARGS__);                           \
  } while (0)

#endif
