/* A window over a reader, for formats that are read byte for byte. UTF-8's mark before everything is left out. */
#ifndef PERI_DATA_WINDOW_H
#define PERI_DATA_WINDOW_H

#include "data/reader.h"

typedef struct peri_window {
  peri_reader *reader;
  unsigned char *bytes;
  size_t at, filled; /* the next byte; how many there are */
  bool begun;        /* the mark has been looked for */
} peri_window;

/* Takes its bytes from the budget; the reader stays the caller's. On failure there is nothing to close. */
peri_status peri_window_open(peri_window *window, peri_reader *reader);
void peri_window_close(peri_window *window);
/* To the first byte again. */
peri_status peri_window_rewind(peri_window *window);
peri_status peri_window_refill(peri_window *window);

/* The next byte, not taken yet; -1 at the end. */
static inline peri_status peri_window_look(peri_window *window, int *byte) {
  if (window->at == window->filled) PERI_TRY(peri_window_refill(window));
  *byte = window->at < window->filled ? window->bytes[window->at] : -1;
  return PERI_OK;
}

#endif
