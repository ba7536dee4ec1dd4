/* Text in words and lines, over a reader: what formats of lines have in common. Lines end with \n, words
 * with white space (\r is that: lines may end with \r\n); the last line may lack its end. A window and one word
 * are all the memory that is used, however long a line is. */
#ifndef PERI_DATA_TEXT_H
#define PERI_DATA_TEXT_H

#include "data/utf8.h"
#include "data/window.h"

#define PERI_LONGEST_WORD 1000
#define PERI_NO_COMMENTS  (-2)

typedef enum peri_text_item { PERI_TEXT_WORD, PERI_TEXT_LINE_END, PERI_TEXT_END } peri_text_item;

typedef struct peri_text {
  peri_window window;
  int comment;                      /* from this character to the end of a line all is skipped; or PERI_NO_COMMENTS */
  int64_t line;                     /* of the last item, from 1 */
  size_t length;                    /* of the last word */
  bool between, inside;             /* the last item ended a line; the line has begun */
  bool cut;                         /* the last line ended with the file, without its \n */
  char word[PERI_LONGEST_WORD + 1]; /* terminated */
  char shown[PERI_NAME_TEXT];
} peri_text;

/* Takes a window from the budget; the reader stays the caller's. On failure there is nothing to close. */
peri_status peri_text_open(peri_text *text, peri_reader *reader, int comment);
void peri_text_close(peri_text *text);
/* To the first line again. */
peri_status peri_text_rewind(peri_text *text);
peri_status peri_text_next(peri_text *text, peri_text_item *item);

/* PERI_ERR_IO with "operation: name: line N: ...". */
peri_status peri_text_fail(const peri_text *text, int64_t line, const char *format, ...) PERI_PRINTF(3, 4);
/* A word for a message (utf8.h). One at a time. */
const char *peri_text_show(peri_text *text, const char *word);

#endif
