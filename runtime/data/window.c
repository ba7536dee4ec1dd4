/* A window over a reader; see window.h. */
#include "data/window.h"

#define SIZE 65536

peri_status peri_window_open(peri_window *window, peri_reader *reader) {
  *window = (peri_window){.reader = reader};
  void *bytes;
  PERI_TRY(peri_alloc(reader->context, SIZE, &bytes));
  window->bytes = bytes;
  return PERI_OK;
}

void peri_window_close(peri_window *window) {
  peri_free(window->reader->context, window->bytes, SIZE);
  window->bytes = NULL;
}

peri_status peri_window_rewind(peri_window *window) {
  window->begun = false;
  window->at = window->filled = 0;
  return peri_reader_rewind(window->reader);
}

peri_status peri_window_refill(peri_window *window) {
  do {
    uint64_t got;
    PERI_TRY(peri_check_cancel(window->reader->context));
    PERI_TRY(peri_reader_read_some(window->reader, window->bytes, SIZE, &got));
    window->filled = (size_t)got;
    window->at = !window->begun && got >= 3 && memcmp(window->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    window->begun = true;
  } while (window->at == window->filled && window->filled > 0); /* the mark came alone */
  return PERI_OK;
}
