/* Calls whose allocations fail, one after the other. */
#ifndef PERI_TEST_ALLOCATION_SUPPORT_H
#define PERI_TEST_ALLOCATION_SUPPORT_H

#include "base/base.h"
#include "test.h"

/* Runs call(context, arg) with the first allocation failing, then the second, ... until it succeeds.
 * The call releases what it got when it succeeds. */
static inline void check_allocation_failures(peri_context *context,
                                             peri_status (*call)(peri_context *context, void *arg), void *arg,
                                             int at_least) {
  size_t before = peri_memory_in_use(context);
  for (int allowed = 0;; allowed++) {
    context->fail_after = allowed;
    peri_status status = call(context, arg);
    context->fail_after = -1;
    PERI_CHECK(peri_memory_in_use(context) == before, "%zu bytes leak after %d allocations",
               peri_memory_in_use(context) - before, allowed);
    if (status == PERI_OK) {
      PERI_CHECK(allowed >= at_least, "only %d allocations, expected %d", allowed, at_least);
      return;
    }
    PERI_CHECK(status == PERI_ERR_MEMORY, "status %d: %s", (int)status, peri_message(context));
    if (status != PERI_ERR_MEMORY || allowed > 10000) return;
  }
}

#endif
