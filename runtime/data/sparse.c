/* index:value pairs; see sparse.h. */
#include "data/sparse.h"

#include "data/number.h"

/* A matrix above the floor takes at most this many bytes for a byte of text, unless its width was asked for. */
#define SPARSE_FLOOR ((uint64_t)256 << 20)
#define SPARSE_RATIO 4096

peri_status peri_sparse_number(peri_text *text, const char *word, const char *what, double *value) {
  switch (peri_parse_number(word, value)) {
  case PERI_NUMBER:
    return PERI_OK;
  case PERI_NUMBER_LARGE:
    return peri_text_fail(text, text->line, "%s %s is beyond the largest float64", what, peri_text_show(text, word));
  default:
    return peri_text_fail(text, text->line, "%s is '%s' (expected a number)", what, peri_text_show(text, word));
  }
}

static peri_status check_index(const peri_sparse *s, int64_t index, int64_t last) {
  int64_t line = s->text->line;
  if (index < s->first) {
    return peri_text_fail(s->text, line, "index %lld (expected indices from %lld%s)", (long long)index,
                          (long long)s->first,
                          index == 0 ? "; those of a file that counts from 0 need zero_based" : "");
  }
  if (index <= last) {
    return peri_text_fail(s->text, line, "index %lld comes after %lld (expected indices that ascend)", (long long)index,
                          (long long)last);
  }
  if (s->features > 0 && index - s->first >= s->features) {
    return peri_text_fail(s->text, line, "index %lld is beyond the %lld features that were asked for", (long long)index,
                          (long long)s->features);
  }
  return PERI_OK;
}

peri_status peri_sparse_read(peri_sparse *s, int64_t *last, int64_t *column, double *value) {
  char *word = s->text->word, *colon = strchr(word, ':');
  int64_t index = 0;
  bool sound = colon != NULL;
  if (sound) {
    *colon = '\0';
    sound = peri_parse_integer(word, &index) && index < INT64_MAX;
    *colon = ':';
  }
  if (!sound) {
    return peri_text_fail(s->text, s->text->line, "'%s' (expected index:value)", peri_text_show(s->text, word));
  }
  PERI_TRY(check_index(s, index, *last));
  *last = index;
  *column = index - s->first;
  if (*column >= s->d) {
    s->d = *column + 1;
    s->largest_line = s->text->line;
  }
  return peri_sparse_number(s->text, colon + 1, "the value", value);
}

peri_status peri_sparse_check_size(const peri_sparse *s, const char *what, int64_t n, peri_dtype dtype) {
  const peri_reader *reader = s->text->window.reader;
  const peri_context *context = reader->context;
  int64_t line = s->largest_line != 0 ? s->largest_line : s->text->line, d = s->d;
  uint64_t bytes = 0, item = peri_dtype_size(dtype);
  double size = (double)n * (double)d * (double)item;
  bool overflow =
      __builtin_mul_overflow((uint64_t)n, (uint64_t)d, &bytes) || __builtin_mul_overflow(bytes, item, &bytes);
  if (overflow || bytes > context->limit - peri_memory_in_use(context)) {
    peri_status status = peri_text_fail(
        s->text, line,
        "%s would be %lld x %lld %s, %.4g bytes: more than the memory limit of %zu has left (%zu in use)", what,
        (long long)n, (long long)d, peri_dtype_name(dtype), size, context->limit, peri_memory_in_use(context));
    /* Where the limit alone forbids it, no collection of garbage would help. */
    return overflow || bytes > context->limit ? status : PERI_ERR_MEMORY;
  }
  if (s->features == 0 && bytes > SPARSE_FLOOR && bytes / SPARSE_RATIO > reader->at) {
    return peri_text_fail(s->text, line,
                          "index %lld makes %s %lld x %lld %s, %.4g bytes of a text of %llu (when that is meant, ask "
                          "for features = %lld)",
                          (long long)(d - 1 + s->first), what, (long long)n, (long long)d, peri_dtype_name(dtype), size,
                          (unsigned long long)reader->at, (long long)d);
  }
  return PERI_OK;
}
