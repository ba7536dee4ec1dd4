#include "data/utf8.h"

#include <stdbool.h>
#include <string.h>

size_t peri_utf8_length(const unsigned char *s, const unsigned char *end) {
  unsigned char lead = s[0], low = 0x80, high = 0xbf;
  if (lead < 0x80) return 1;
  size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || (size_t)(end - s) < length) return 0;
  if (lead == 0xe0) low = 0xa0;  /* overlong */
  if (lead == 0xed) high = 0x9f; /* surrogates */
  if (lead == 0xf0) low = 0x90;  /* overlong */
  if (lead == 0xf4) high = 0x8f; /* beyond U+10FFFF */
  for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf) {
    if (s[i] < low || s[i] > high) return 0;
  }
  return length;
}

const char *peri_name_text(const char *name, char *buffer) {
  const unsigned char *s = (const unsigned char *)name, *end = s + strlen(name);
  size_t used = 0;
  while (s < end) {
    size_t length = peri_utf8_length(s, end);
    bool control = length == 0 || *s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0);
    size_t width = control ? 1 : length;
    if (used + width > 60) return strcpy(buffer + used, "..."), buffer;
    if (control)
      buffer[used] = '?';
    else
      memcpy(buffer + used, s, width);
    used += width;
    s += length == 0 ? 1 : length;
  }
  buffer[used] = '\0';
  return buffer;
}
