#include "base/record.h"

#include <stdarg.h>
#include <stdio.h>

void peri_refuse_recorder(peri_recorder *r, const char *format, ...) {
  va_list arguments;
  if (r->refused[0] != '\0') return;
  va_start(arguments, format);
  vsnprintf(r->refused, sizeof r->refused, format, arguments);
  va_end(arguments);
}
