/* Numbers as text. The C library does the conversions that are hard to round; its decimal point, which
 * follows the process's locale, is kept out of them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strtod_l */
#endif
#include "data/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- reading ---- */

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool peri_parse_integer(const char *text, int64_t *value) {
  bool negative = *text == '-';
  int64_t sum = 0; /* negative, as the range is larger there */
  text += *text == '-' || *text == '+';
  if (!is_digit(*text)) return false;
  for (; is_digit(*text); text++) {
    if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, *text - '0', &sum)) return false;
  }
  if (*text != '\0' || (!negative && sum == INT64_MIN)) return false;
  *value = negative ? sum : -sum;
  return true;
}

/* A decimal number taken apart: mantissa * 10^exponent while the mantissa is exact. */
typedef struct decimal {
  bool negative, exact;
  uint64_t mantissa;
  int64_t exponent;
} decimal;

#define EXPONENT_CAP 100000000 /* beyond any that a text of digits can make up for */

static const char *take_digits(const char *text, int64_t scale, decimal *out) {
  for (; is_digit(*text); text++) {
    if (out->mantissa > (UINT64_MAX - 9) / 10) {
      out->exact = false;
      continue;
    }
    out->mantissa = 10 * out->mantissa + (uint64_t)(*text - '0');
    out->exponent += scale;
  }
  return text;
}

/* False when the whole text does not have the form of a decimal number. */
static bool take_apart(const char *text, decimal *out) {
  *out = (decimal){.negative = *text == '-', .exact = true};
  text += *text == '-' || *text == '+';
  const char *whole = text;
  text = take_digits(text, 0, out);
  int64_t digits = text - whole;
  if (*text == '.') {
    const char *fraction = ++text;
    text = take_digits(text, -1, out);
    digits += text - fraction;
  }
  if (digits == 0) return false;
  if (*text == 'e' || *text == 'E') {
    text++;
    int64_t sign = *text == '-' ? -1 : 1, exponent = 0;
    text += *text == '-' || *text == '+';
    if (!is_digit(*text)) return false;
    for (; is_digit(*text); text++) exponent = peri_min(10 * exponent + (*text - '0'), EXPONENT_CAP);
    out->exponent += sign * exponent;
  }
  return *text == '\0';
}

static bool parse_special(const char *text, double *value) {
  bool negative = *text == '-';
  text += *text == '-' || *text == '+';
  double size;
  if (strcasecmp(text, "nan") == 0) {
    size = NAN;
  } else if (strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0) {
    size = INFINITY;
  } else {
    return false;
  }
  *value = copysign(size, negative ? -1 : 1);
  return true;
}

peri_number_kind peri_parse_number(const char *text, double *value) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  decimal parts;
  if (!take_apart(text, &parts)) return parse_special(text, value) ? PERI_NUMBER : PERI_NUMBER_NONE;
  /* Where both factors are exact, one operation rounds the result once (Clinger 1990). */
  int64_t e = parts.exponent;
  if (parts.exact && parts.mantissa <= (uint64_t)1 << 53 && e >= -22 && e <= 22) {
    double size = (double)parts.mantissa;
    size = e < 0 ? size / powers[-e] : size * powers[e];
    *value = parts.negative ? -size : size;
    return PERI_NUMBER;
  }
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* that one is constant: nothing is allocated */
  *value = strtod_l(text, NULL, plain);
  freelocale(plain);
  return isinf(*value) ? PERI_NUMBER_LARGE : PERI_NUMBER;
}

/* ---- writing ---- */

/* value = 0.d1 d2 d3 .. * 10^point, n digits without zeros at the end. */
typedef struct digits {
  int n, point;
  char digit[24];
} digits;

/* As printf rounds to `precision` digits; its decimal point, whatever it is, is stepped over. */
static void round_to_digits(double size, int precision, digits *out) {
  char text[64];
  const char *at = text;
  snprintf(text, sizeof text, "%.*e", precision - 1, size);
  for (out->n = 0; *at != 'e'; at++) {
    if (is_digit(*at)) out->digit[out->n++] = *at;
  }
  out->point = atoi(at + 1) + 1;
  while (out->n > 1 && out->digit[out->n - 1] == '0') out->n--;
}

static size_t repeat_zero(char *text, int n) {
  for (int i = 0; i < n; i++) text[i] = '0';
  return n > 0 ? (size_t)n : 0;
}

static size_t put_digits(char *text, const char *digit, int n) {
  for (int i = 0; i < n; i++) text[i] = digit[i];
  return n > 0 ? (size_t)n : 0;
}

/* 120, 1.5, 0.001 and, where the zeros would be many, 1.5e-07. */
static size_t lay_out(const digits *d, bool negative, char *text) {
  size_t at = 0;
  if (negative) text[at++] = '-';
  if (d->point < -3 || d->point > 17) {
    text[at++] = d->digit[0];
    if (d->n > 1) text[at++] = '.';
    at += put_digits(text + at, d->digit + 1, d->n - 1);
    return at + (size_t)snprintf(text + at, PERI_NUMBER_TEXT - at, "e%+03d", d->point - 1);
  }
  int whole = d->point < d->n ? d->point : d->n; /* digits before the point */
  if (d->point <= 0) {
    text[at++] = '0';
  } else {
    at += put_digits(text + at, d->digit, whole);
    at += repeat_zero(text + at, d->point - d->n);
  }
  if (d->point < d->n) {
    text[at++] = '.';
    at += repeat_zero(text + at, -d->point);
    at += put_digits(text + at, d->digit + (whole > 0 ? whole : 0), d->n - (whole > 0 ? whole : 0));
  }
  text[at] = '\0';
  return at;
}

static bool reads_back(const char *text, double value, bool single) {
  double read = 0;
  if (peri_parse_number(text, &read) != PERI_NUMBER) return false;
  return single ? (float)read == (float)value : read == value;
}

size_t peri_number_text(double value, bool single, char text[PERI_NUMBER_TEXT]) {
  if (!isfinite(value)) {
    return (size_t)snprintf(text, PERI_NUMBER_TEXT, "%s%s", signbit(value) ? "-" : "", isnan(value) ? "nan" : "inf");
  }
  digits d;
  size_t length = 0;
  /* Every number with this few digits survives the way there and back, so fewer need not be tried. */
  for (int precision = single ? 6 : 15, most = single ? 9 : 17; precision <= most; precision++) {
    round_to_digits(fabs(value), precision, &d);
    length = lay_out(&d, signbit(value), text);
    if (reads_back(text, value, single)) break;
  }
  return length;
}
