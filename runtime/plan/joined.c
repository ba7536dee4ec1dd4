/* Joined steps: each of them on a block of elements, then all of them on the next. A thread has frames of its own, over
 * tensors that are moved from block to block, and room for the values that are never there as a whole. */
#include "plan/parts.h"

#include "kernels/kernels.h"

#define GRAIN 32768 /* elements of a piece of work for the team, as of the iterator's */
#define LINE  64    /* bytes, and elements behind which no line of memory is shared */

typedef struct seat {
  peri_status status;
  int64_t n;            /* elements of the block that the tensors have */
  peri_tensor *tensors; /* by operand */
  peri_call **calls;    /* by step, or NULL */
  peri_tensor ***parts; /* the tensors of a part, by step, or NULL */
  char *slots;
} seat;

/* ---- seats ---- */

/* A piece of memory that is handed out from its beginning; without memory it is but measured. */
typedef struct strip {
  char *memory;
  size_t used;
} strip;

static void *carve(strip *from, size_t bytes) {
  void *room = from->memory == NULL ? NULL : from->memory + from->used;
  from->used += (bytes + LINE - 1) / LINE * LINE;
  return room;
}

static int operand_of(const peri_joined *joined, const peri_tensor *x) {
  int k = 0;
  while (&joined->operands[k].shell->tensor != x) k++;
  return k;
}

static peri_tensor *in_seat(const peri_joined *joined, const seat *s, const peri_tensor *x) {
  return x == NULL ? NULL : &s->tensors[operand_of(joined, x)];
}

static void fill_call(const peri_joined *joined, const seat *s, const peri_call *call, peri_call *own) {
  *own = *call;
  own->outputs = own->few_outputs;
  own->outputs[0] = call->outputs[0];
  own->outputs[0].tensor = in_seat(joined, s, call->outputs[0].tensor);
  for (int i = 0; i < peri_op_params(call->op); i++) own->args[i].tensor = in_seat(joined, s, call->args[i].tensor);
}

static void fill_tensor(const peri_joined_operand *operand, peri_tensor *x) {
  const peri_tensor *whole = &operand->shell->tensor;
  *x = (peri_tensor){.references = 1, .storage = whole->storage, .contiguous = true};
  peri_layout_set(&x->layout, whole->layout.dtype, operand->uniform ? 0 : 1, (int64_t[]){PERI_JOINED_BLOCK});
}

/* A seat at `memory`, which is filled where there is any; its bytes. */
static size_t lay_out(const peri_joined *joined, char *memory) {
  strip from = {memory, 0};
  const size_t n = (size_t)joined->n;
  seat none = {.n = 0}, *s = carve(&from, sizeof *s);
  if (memory == NULL) s = &none;
  s->status = PERI_OK;
  s->n = PERI_JOINED_BLOCK;
  s->tensors = carve(&from, (size_t)joined->operands_n * sizeof *s->tensors);
  s->calls = carve(&from, n * sizeof *s->calls);
  s->parts = carve(&from, n * sizeof *s->parts);
  for (int k = 0; memory != NULL && k < joined->operands_n; k++) fill_tensor(&joined->operands[k], &s->tensors[k]);
  for (int i = 0; i < joined->n; i++) {
    const peri_action *step = &joined->steps[i];
    peri_call *call = step->call == NULL ? NULL : carve(&from, sizeof *call);
    peri_tensor **tensors = step->tensors_n == 0 ? NULL : carve(&from, (size_t)step->tensors_n * sizeof(void *));
    if (memory == NULL) continue;
    s->calls[i] = call;
    s->parts[i] = tensors;
    if (call != NULL) fill_call(joined, s, step->call, call);
    for (int k = 0; k < step->tensors_n; k++) tensors[k] = in_seat(joined, s, step->tensors[k]);
  }
  s->slots = carve(&from, (size_t)(joined->slots * joined->slot_bytes));
  return from.used;
}

/* Elements of a piece; of a few elements, where all steps together are work enough, what makes four. */
static int64_t step_of(const peri_joined *joined) {
  int64_t grain = GRAIN;
  if (joined->numel * joined->n > 2 * GRAIN)
    grain = peri_min(GRAIN, peri_max(2 * PERI_JOINED_BLOCK, (joined->numel - 1) / 4 + 1));
  return (peri_even_step(joined->numel, grain) + LINE - 1) / LINE * LINE;
}

static int64_t pieces_of(const peri_joined *joined) { return (joined->numel - 1) / step_of(joined) + 1; }

peri_status peri_joined_open(peri_context *context, peri_joined *joined) {
  const int wanted = (int)peri_min(context->threads, pieces_of(joined));
  void *seats;
  if (joined->seats_n >= wanted) return PERI_OK;
  joined->seat_bytes = lay_out(joined, NULL);
  PERI_TRY(peri_alloc_array(context, (size_t)wanted, joined->seat_bytes, &seats));
  peri_joined_release(context, joined);
  joined->seats = seats;
  joined->seats_n = wanted;
  for (int i = 0; i < joined->seats_n; i++) lay_out(joined, joined->seats + (size_t)i * joined->seat_bytes);
  return PERI_OK;
}

void peri_joined_release(peri_context *context, peri_joined *joined) {
  if (joined->seats != NULL) peri_free(context, joined->seats, (size_t)joined->seats_n * joined->seat_bytes);
  joined->seats = NULL;
  joined->seats_n = 0;
}

static seat *seat_at(const peri_joined *joined, int i) {
  return (void *)(joined->seats + (size_t)i * joined->seat_bytes);
}

void peri_joined_move(peri_joined *joined, peri_context *context) {
  for (int i = 0; i < joined->n; i++) {
    if (joined->steps[i].call != NULL) joined->steps[i].call->context = context;
    for (int k = 0; k < joined->seats_n; k++) {
      peri_call *call = seat_at(joined, k)->calls[i];
      if (call != NULL) call->context = context;
    }
  }
}

/* ---- running ---- */

typedef struct job {
  const peri_joined *joined;
  const peri_elementwise_kernels *kernels;
  int64_t step;
} job;

static void move_tensors(const peri_joined *joined, seat *s, int64_t at, int64_t n) {
  for (int k = 0; k < joined->operands_n; k++) {
    const peri_joined_operand *operand = &joined->operands[k];
    const peri_tensor *whole = &operand->shell->tensor;
    peri_tensor *x = &s->tensors[k];
    const int64_t size = (int64_t)peri_dtype_size(x->layout.dtype);
    if (operand->slot >= 0) {
      x->data = s->slots + operand->slot * joined->slot_bytes;
    } else {
      x->data = whole->data + (operand->uniform ? 0 : at * size);
      x->storage = whole->storage;
    }
    if (n != s->n && !operand->uniform) x->layout.numel = x->layout.shape[0] = n;
  }
  s->n = n;
}

static void copy_block(const peri_elementwise_kernels *kernels, const peri_tensor *y, const peri_tensor *x, int64_t n) {
  const ptrdiff_t step = x->layout.ndim == 0 ? 0 : (ptrdiff_t)peri_dtype_size(x->layout.dtype);
  kernels->convert[x->layout.dtype][y->layout.dtype](n, y->data, (ptrdiff_t)peri_dtype_size(y->layout.dtype), x->data,
                                                     step);
}

static void run_block(const job *j, seat *s, int64_t at, int64_t n) {
  const peri_joined *joined = j->joined;
  move_tensors(joined, s, at, n);
  for (int i = 0; i < joined->n && s->status == PERI_OK; i++) {
    const peri_action *step = &joined->steps[i];
    if (s->calls[i] != NULL) {
      s->status = step->run(s->calls[i]);
    } else if (s->parts[i] != NULL) {
      s->status = step->part(step->note, s->parts[i]);
    } else {
      copy_block(j->kernels, in_seat(joined, s, &step->target->tensor), in_seat(joined, s, &step->source->tensor), n);
    }
  }
}

/* The tensors' next block comes into the second cache while this one is computed: each is a short stretch, behind which
 * a processor foresees little by itself. */
static void fetch_block(const peri_joined *joined, int64_t at, int64_t n) {
  for (int k = 0; k < joined->operands_n; k++) {
    const peri_joined_operand *operand = &joined->operands[k];
    const peri_tensor *whole = &operand->shell->tensor;
    const int64_t size = (int64_t)peri_dtype_size(whole->layout.dtype);
    if (operand->slot >= 0 || operand->uniform) continue;
    const char *from = whole->data + at * size;
    for (int64_t i = 0; i < n * size; i += LINE) __builtin_prefetch(from + i, 0, 2);
  }
}

static void run_piece(void *arg, int64_t piece) {
  const job *j = arg;
  seat *s = seat_at(j->joined, peri_worker());
  const int64_t end = peri_min((piece + 1) * j->step, j->joined->numel);
  for (int64_t at = piece * j->step; at < end; at += PERI_JOINED_BLOCK) {
    const int64_t next = at + PERI_JOINED_BLOCK;
    if (next < end) fetch_block(j->joined, next, peri_min(PERI_JOINED_BLOCK, end - next));
    run_block(j, s, at, peri_min(PERI_JOINED_BLOCK, end - at));
  }
}

/* As each of them does by itself. */
static void raise_versions(const peri_joined *joined) {
  for (int i = 0; i < joined->n; i++) {
    const peri_action *step = &joined->steps[i];
    const peri_tensor *written = step->kind == PERI_ACTION_COPY   ? &step->target->tensor
                                 : step->kind == PERI_ACTION_PART ? step->tensors[0]
                                                                  : step->call->outputs[0].tensor;
    if (step->writes || step->counts || step->kind == PERI_ACTION_COPY) written->storage->version++;
  }
}

peri_status peri_joined_run(peri_context *context, const peri_action *action) {
  peri_joined *joined = action->joined;
  job j = {joined, context->kernels->elementwise, step_of(joined)};
  PERI_TRY(peri_joined_open(context, joined));
  for (int i = 0; i < joined->seats_n; i++) seat_at(joined, i)->status = PERI_OK;
  const bool shielded = context->shielded;
  context->shielded = shielded || joined->writes;
  peri_status status = peri_parallel(context, pieces_of(joined), run_piece, &j);
  context->shielded = shielded;
  for (int i = 0; i < joined->seats_n && status == PERI_OK; i++) status = seat_at(joined, i)->status;
  if (status == PERI_OK) raise_versions(joined);
  return status;
}
