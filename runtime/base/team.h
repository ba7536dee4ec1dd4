/* The thread team of the process: workers that take pieces of a job beside the thread that has it. */
#ifndef PERI_TEAM_H
#define PERI_TEAM_H

#include "base/base.h"

/* The processors that this process may use. */
int peri_processors(void);
/* To be called once before the first context: after fork() the child has no workers and stays serial. */
void peri_team_prepare(void);

#endif
