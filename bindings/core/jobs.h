/* Programs that run side by side, with pipes to each. process.c is how Lua has them. */
#ifndef PERI_BINDINGS_JOBS_H
#define PERI_BINDINGS_JOBS_H

#include "base/base.h"

#include <sys/types.h>

#define JOB_MAX 64 /* programs of a group */

typedef struct job_bytes {
  uint8_t *bytes;
  size_t size, capacity;
} job_bytes;

/* One program. Descriptors that are not open are -1, and so is the pid of what does not run. */
typedef struct job {
  char *const *argv; /* borrowed: it stands on the caller's stack */
  pid_t pid;
  int in, out, err;
  const char *input; /* borrowed: the job's table holds the string */
  size_t input_size, written;
  job_bytes output, errors;
  int status;
  int failure; /* errno when it could not be started */
  bool told;   /* that it has ended */
} job;

/* Owns all that can leak. */
typedef struct job_group {
  peri_context *context;
  int n, at_once; /* programs, and how many may run side by side */
  int started;    /* the first ones of jobs */
  job jobs[];
} job_group;

/* A group of n programs in `group`, which has room for them; the caller then fills argv and input of each. */
void job_group_begin(job_group *group, peri_context *context, int n, int at_once);
/* Until a program has ended, both its outputs being read to the end, or could not be started: *ended is
 * its number, each being told once; -1 when there are no more. Programs are started in their order. */
peri_status job_attend(job_group *group, int *ended);
/* Kills what runs and frees what there is; may be called again. */
void job_group_end(job_group *group);

#endif
