/* What making networks in lanes (lanes_new.c) and running them (lanes.c) share. */
#ifndef PERI_LANES_PARTS_H
#define PERI_LANES_PARTS_H

#include "plan/lanes.h"
#include "plan/parts.h"

/* A buffer of the plans in lanes. */
typedef struct lane_buffer {
  peri_storage storage; /* of the tensors over it */
  int64_t numel;        /* of one lane, as far as the plan's tensors reach; 0: none do */
  peri_dtype dtype;
  char *data;
  bool kept, written; /* loaded from the tensors, and stored */
} lane_buffer;

typedef struct lane_action {
  peri_call *call;         /* a call's frame over tensors in lanes, or NULL */
  peri_backward *gradient; /* of a row's gradient, or NULL */
  peri_tensor **tensors;   /* of a part; of a gradient, its answers */
  peri_tensor *target, *source;
  struct lane_optimizer *optimizer; /* whose step it is */
  void *zeroed;                     /* a gradient that becomes zeros */
} lane_action;

typedef struct lane_optimizer {
  int64_t n; /* slots of each */
  peri_optimizer *optimizers[PERI_LANES];
  peri_optimizers_abreast abreast;
} lane_optimizer;

typedef struct lane_chunk {
  struct lane_chunk *next;
  size_t bytes;
} lane_chunk;

struct peri_lanes {
  peri_context *context; /* whose memory it is */
  peri_context *running;
  int n, at;
  uint32_t stopped;
  peri_plan *plans[PERI_LANES];
  lane_chunk *chunks;
  size_t bytes;
  lane_buffer *buffers;
  lane_buffer **arguments; /* those of the step's arguments */
  lane_action *actions;
  int shells_n;
  peri_shell **shells; /* of the first plan, and the tensors in lanes that stand for them */
  peri_tensor *tensors;
  char *block;
  void *scratch;
  peri_tensor **results;
  peri_tensor result; /* of a lane, when it is asked for */
};

#endif
