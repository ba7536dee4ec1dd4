/* What the rows of recurrent cells over sequences share: where their arguments stand, and what infer noted. */
#ifndef PERI_RECURRENT_H
#define PERI_RECURRENT_H

#include "ops/rows.h"

enum { PERI_SEQUENCE_X, PERI_SEQUENCE_WEIGHT, PERI_SEQUENCE_BIAS, PERI_SEQUENCE_H, PERI_SEQUENCE_C };
enum {
  PERI_NOTE_CELL,
  PERI_NOTE_STEPS,
  PERI_NOTE_BATCH,
  PERI_NOTE_HIDDEN,
  PERI_NOTE_LENGTHS, /* which argument that is */
  PERI_NOTE_REVERSE
};

/* The gradient as a formula over single steps, which can be differentiated again; slower. */
peri_status peri_sequence_formula(peri_backward *B);

#endif
