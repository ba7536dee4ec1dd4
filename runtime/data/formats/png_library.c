/* Opening libpng; see png_library.h. */
#include "data/formats/png_library.h"

#include <dlfcn.h>
#include <pthread.h>

peri_png peri_png_table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded;

/* dlsym gives a pointer to void, which ISO C does not turn into one to a function. */
static bool find(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static peri_status load_locked(peri_context *context, const char *operation) {
  if (loaded) return PERI_OK;
  void *library = dlopen(PERI_PNG_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  if (library == NULL) return peri_fail(context, PERI_ERR_STATE, "%s: PNG needs libpng: %s", operation, dlerror());
  bool all = true;
#define FIND_PNG(name) all = all && find(library, #name, &peri_png_table.name);
  PERI_PNG_ROUTINES(FIND_PNG)
#undef FIND_PNG
  if (!all) {
    return peri_fail(context, PERI_ERR_STATE, "%s: " PERI_PNG_LIBRARY " lacks routines (expected libpng 1.6)",
                     operation);
  }
  loaded = true;
  return PERI_OK;
}

peri_status peri_png_open(peri_context *context, const char *operation) {
  pthread_mutex_lock(&lock);
  peri_status status = load_locked(context, operation);
  pthread_mutex_unlock(&lock);
  return status;
}
