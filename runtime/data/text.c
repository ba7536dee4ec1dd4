/* Words and lines; see text.h. */
#include "data/text.h"

#include <stdarg.h>
#include <stdio.h>

peri_status peri_text_open(peri_text *text, peri_reader *reader, int comment) {
  *text = (peri_text){.comment = comment, .line = 1};
  return peri_window_open(&text->window, reader);
}

void peri_text_close(peri_text *text) { peri_window_close(&text->window); }

peri_status peri_text_rewind(peri_text *text) {
  text->line = 1;
  text->between = text->inside = text->cut = false;
  return peri_window_rewind(&text->window);
}

static inline bool is_blank(int byte) {
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

static peri_status take_word(peri_text *text, int byte) {
  text->length = 0;
  while (byte >= 0 && byte != '\n' && !is_blank(byte) && byte != text->comment) {
    if (text->length == PERI_LONGEST_WORD) {
      return peri_text_fail(text, text->line, "a word has more than %d bytes", PERI_LONGEST_WORD);
    }
    if (byte == 0) return peri_text_fail(text, text->line, "there is a zero byte (expected text)");
    text->word[text->length++] = (char)byte;
    text->window.at++;
    PERI_TRY(peri_window_look(&text->window, &byte));
  }
  text->word[text->length] = '\0';
  return PERI_OK;
}

peri_status peri_text_next(peri_text *text, peri_text_item *item) {
  bool comment = false;
  text->line += text->between;
  text->between = false;
  for (;;) {
    int byte;
    PERI_TRY(peri_window_look(&text->window, &byte));
    if (byte < 0 && !text->inside) {
      *item = PERI_TEXT_END;
      return PERI_OK;
    }
    text->inside = true;
    if (byte < 0 || byte == '\n') {
      text->window.at += byte == '\n';
      text->cut = byte < 0;
      text->between = true;
      text->inside = false;
      *item = PERI_TEXT_LINE_END;
      return PERI_OK;
    }
    if (!comment && !is_blank(byte)) {
      comment = byte == text->comment;
      if (!comment) {
        *item = PERI_TEXT_WORD;
        return take_word(text, byte);
      }
    }
    text->window.at++;
  }
}

peri_status peri_text_fail(const peri_text *text, int64_t line, const char *format, ...) {
  char what[512];
  const peri_reader *reader = text->window.reader;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  return peri_fail(reader->context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": line %lld: %s", reader->operation,
                   reader->name, (long long)line, what);
}

const char *peri_text_show(peri_text *text, const char *word) { return peri_name_text(word, text->shown); }
