/* What everything else stands on: the context with its error message, memory budget, cancellation
 * flag, thread team and random stream. Nothing here knows a tensor. */
#ifndef PERI_BASE_H
#define PERI_BASE_H

#include "base/full.h"
#include "base/record.h"
#include <perilune/perilune.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define PERI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define PERI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline int64_t peri_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t peri_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t peri_ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static inline int64_t peri_round_up(int64_t a, int64_t b) { return peri_ceil_div(a, b) * b; }
/* Bytes of whole cache lines. */
static inline size_t peri_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
/* Of a number and a NaN the number; of two zeros the second, where fmax and fmin leave open which. */
static inline double peri_larger(double a, double b) { return a > b || b != b ? a : b; }
static inline double peri_smaller(double a, double b) { return a < b || b != b ? a : b; }

/* Return early with a failing status. */
#define PERI_TRY(expression)                                                                                           \
  do {                                                                                                                 \
    peri_status peri_try_status_ = (expression);                                                                       \
    if (peri_try_status_ != PERI_OK) return peri_try_status_;                                                          \
  } while (0)

/* ---- random streams ----
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). Block c of seed s is four 32-bit words that
 * depend on (s, c) alone, so element i of a draw does not depend on who computes it. */
typedef struct peri_stream {
  uint64_t seed;
  uint64_t block; /* the next unused block */
} peri_stream;

/* The function itself: any 128-bit counter, any 64-bit key, low words first. */
void peri_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
void peri_philox(uint64_t seed, uint64_t block, uint32_t out[4]);
/* What keeps [0, bound) unbiased: of the products of 64 random bits and bound, those whose low half is below this are
 * refused (D. Lemire, "Fast random integer generation in an interval", 2019). 0 for a bound of 2^64, which is 0. */
static inline uint64_t peri_random_refused(uint64_t bound) { return bound == 0 ? 0 : -bound % bound; }
/* The number in [0, bound) in place of a refused one, which came from half 0 or 1 of a block: its further bits are of
 * counters that no stream reaches, so that an element of a draw still depends on its own place alone. */
uint64_t peri_random_again(uint64_t seed, uint64_t block, int half, uint64_t bound);
/* Takes n blocks off the stream and returns the first of them. */
static inline uint64_t peri_stream_take(peri_stream *stream, uint64_t n) {
  uint64_t first = stream->block;
  stream->block += n;
  return first;
}
uint64_t peri_stream_u64(peri_stream *stream);                            /* takes one block */
uint64_t peri_stream_below(peri_stream *stream, uint64_t bound);          /* uniform in [0, bound), unbiased */
void peri_stream_shuffle(peri_stream *stream, int64_t n, int64_t *order); /* each order with the same chance */
double peri_stream_uniform(peri_stream *stream);                          /* uniform in [0, 1), 53 bits */
/* order becomes a random permutation of 0 .. n-1 */
void peri_stream_permutation(peri_stream *stream, int64_t n, int64_t *order);

/* ---- the context ---- */
#define PERI_FREE_CLASSES 76
#define PERI_MESSAGE_SIZE 1024

/* Memory that is kept only to save time: an allocation that finds none takes it back before it fails. */
typedef struct peri_spare {
  struct peri_spare *previous, *next;
  bool held;                              /* by a call that reads it */
  void (*drop)(struct peri_spare *spare); /* ends with peri_spare_remove and peri_free */
} peri_spare;

struct peri_kernels;
struct peri_blas;

/* What is raised in a context's interrupt. Whatever of the first stands there stops all computation. */
enum {
  PERI_SIGNAL_CANCEL = 1,
  PERI_SIGNAL_DEADLINE = 2,     /* has passed */
  PERI_SIGNAL_INSTRUCTIONS = 4, /* of a script are used up */
  PERI_SIGNAL_STOPS = 7,
  PERI_SIGNAL_CLOCK = 8, /* there is a deadline: who looks asks the clock */
  PERI_SIGNAL_COUNT = 16 /* tests: looks are counted */
};
struct peri_interrupt {
  atomic_uint signals;
  atomic_uint references;
  atomic_size_t left; /* bytes of the context's budget that calls hold which it has left (ops/apart.h) */
};

/* What the shadows of a context and itself share while they work (peri_shadows_open). */
struct peri_sharing {
  pthread_mutex_t lock; /* of the budget, the free blocks, the counts of storages and references */
};

struct peri_context {
  const struct peri_kernels *kernels; /* the variant for this processor */
  struct peri_context *home;          /* itself; of a shadow the context whose shadow it is */
  struct peri_sharing *sharing;       /* of a shadow, and of a context while it has any; else NULL */
  int threads;
  const struct peri_blas *blas; /* between peri_blas_begin and peri_blas_end (base/blas.h), else NULL */
  bool keep_blas_threads;
  bool grad_mode; /* operations record */
  struct peri_interrupt *interrupt;
  double deadline;               /* by peri_now, while PERI_SIGNAL_CLOCK is up */
  atomic_llong looks;            /* tests: at the signals, while PERI_SIGNAL_COUNT is up */
  int64_t raise_at;              /* the look that raises PERI_SIGNAL_CANCEL; 0: none */
  const char *operation;         /* what runs, or NULL: messages of missing memory open with it */
  bool in_place;                 /* it runs in its form name_ */
  bool composing;                /* what runs is a step of a row that is composed of others, `operation` */
  bool shielded;                 /* a write in place has begun: the flag waits until it is done */
  uint64_t next_node;            /* autograd: nodes are numbered in the order of recording */
  struct peri_node *dying_nodes; /* autograd: released, to be taken apart */
  bool burying;                  /* autograd: somebody is taking them apart */
  peri_recorder *recorder;       /* of a step that is to be replayed, or NULL */
  uint64_t storages, plans;      /* made so far: they are numbered */
  uint64_t hooked;               /* how often scripts have given hooks to modules, or taken them */
  struct peri_walk *walk;        /* autograd: the walk back that runs; within a hook another may begin */
  bool detect_anomaly;           /* results and gradients are looked at for NaN and infinities (ops/anomaly.h) */
  /* In that mode, where the script is: a text of less than `size` bytes, perhaps "". NULL where there is no script. */
  void (*where)(void *user, char *text, size_t size);
  void *where_user;
  size_t references; /* one for the owner, one for each storage */
  bool confined;     /* files lie in the folder `root` alone, a descriptor, or -1: nowhere (data/place.h) */
  int root;

  size_t limit, in_use, peak; /* bytes */
  size_t claimed;             /* bytes of the budget that are used elsewhere: by a Lua state */
  size_t cached;              /* bytes in free_blocks */
  int64_t fail_after;         /* tests: allocations that still succeed; negative is off */
  struct peri_free_block *free_blocks[PERI_FREE_CLASSES];
  peri_spare *spares;

  peri_stream stream;
  char message[PERI_MESSAGE_SIZE];
};

/* Sets the message and returns the status, so that a check is one line. */
peri_status peri_fail(peri_context *context, peri_status status, const char *format, ...) PERI_PRINTF(3, 4);

/* Out of memory: the message opens with the operation that runs, which an allocator does not know. */
peri_status peri_fail_memory(peri_context *context, const char *format, ...) PERI_PRINTF(2, 3);

/* ---- memory ----
 * 64-byte aligned, uninitialised, drawn from the budget. The size is given back on release, so that
 * blocks carry no header. *out is NULL on failure, and for zero bytes. */
peri_status peri_alloc(peri_context *context, size_t bytes, void **out);
void peri_free(peri_context *context, void *block, size_t bytes); /* block may be NULL */
/* count * size with the overflow check; the rest as peri_alloc. */
peri_status peri_alloc_array(peri_context *context, size_t count, size_t size, void **out);

/* Zeros, with looks at what may stop the computation. */
peri_status peri_clear(peri_context *context, void *block, size_t bytes);

void peri_spare_add(peri_context *context, peri_spare *spare);
void peri_spare_remove(peri_context *context, peri_spare *spare);

/* ---- shadows ----
 * A shadow is what one thread of a team computes in while others compute with tensors of the same context, its home:
 * with a message, modes and a default stream of its own, and one thread. Kernels, memory, its budget, and what stops
 * the computation are the home's, and so is every tensor that is made in it. While there are shadows, the home's
 * memory is under a lock, packed matrices are neither made nor dropped, and nobody but the shadows computes; no two of
 * them may use a storage to which one writes, or which is not a plan's (plan/plan.h, peri_plan_move). */
peri_status peri_shadows_open(peri_context *home, int n, peri_context **shadows);
void peri_shadows_close(int n, peri_context **shadows);
/* The thread that calls works in the shadow from now on (NULL: no longer): what fails, or looks whether it is stopped,
 * in the name of the home does so in that of the shadow. */
void peri_shadow_enter(peri_context *shadow);
/* The context itself, or the shadow of it that the thread works in: for who sets a mode of a tensor's context. */
peri_context *peri_context_here(peri_context *context);

/* ---- cancellation and threads ---- */
bool peri_signalled(const peri_context *context, unsigned signals);
/* A look at what may stop the computation: an interrupt, a deadline. Any thread that works for the context. */
static inline bool peri_cancelled(const peri_context *context) {
  unsigned signals = atomic_load_explicit(&context->interrupt->signals, memory_order_relaxed);
  return signals != 0 && peri_signalled(context, signals);
}
/* PERI_OK, or the status of what stops it, with a message. */
peri_status peri_check_cancel(peri_context *context);
/* Raises PERI_SIGNAL_INSTRUCTIONS. */
void peri_end_instructions(peri_context *context);

/* Seconds on a clock that only goes forward. */
double peri_now(void);

/* Runs body(arg, piece) for piece = 0 .. pieces-1 on the context's team. The caller chooses pieces
 * from the problem alone, never from the number of threads, writes disjoint outputs and combines
 * partial results itself in piece order: then the bits do not depend on the threads. Between pieces
 * the cancellation flag is polled; a piece is at most about 20 ms of work. Calls from inside a body
 * run serially. The body must not allocate, nor touch the context beyond peri_cancelled and kernels.
 * Tiny work: pass pieces = 1, and no thread is woken. */
typedef void (*peri_body)(void *arg, int64_t piece);
peri_status peri_parallel(peri_context *context, int64_t pieces, peri_body body, void *arg);
/* The same work in steps that are as long as each other, and as many as most teams share evenly: a job that is cut
 * ends when its last piece does. */
static inline int64_t peri_even_step(int64_t n, int64_t step) {
  enum { EVEN = 4 };
  if (n <= step) return step;
  int64_t pieces = ((n - 1) / step + EVEN) / EVEN * EVEN;
  return (n - 1) / pieces + 1;
}
/* Inside a body: which worker runs it, below peri_threads(context); for scratch space only. */
int peri_worker(void);

#endif
