/* Text of a file in messages. */
#ifndef PERI_DATA_UTF8_H
#define PERI_DATA_UTF8_H

#include <stddef.h>

/* Length of the well-formed UTF-8 character (Unicode 15, table 3-7) at s, which ends at end; 0 if ill-formed. */
size_t peri_utf8_length(const unsigned char *s, const unsigned char *end);
/* A name, a cell or a word as messages show it: at most 60 bytes of its UTF-8; what is none, or would steer a terminal,
 * is '?'. Returns buffer. */
#define PERI_NAME_TEXT 64
const char *peri_name_text(const char *name, char *buffer);

#endif
