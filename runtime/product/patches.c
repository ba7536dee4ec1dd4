/* Patches of images; see patches.h. */
#include "product/patches.h"

peri_patches peri_patches_of_x(const peri_convolution *v, const void *x, int64_t *taps) {
  peri_patches p = {.data = x, .element = peri_dtype_size(v->dtype), .channels = v->in_channels};
  p.taps = v->kernel[0] * v->kernel[1];
  p.down = taps;
  p.right = taps + p.taps;
  for (int d = 0; d < 2; d++) {
    p.size[d] = v->in[d];
    p.grid[d] = v->out[d];
    p.step[d] = v->out[d] > 1 ? v->stride[d] : 1;
    p.before[d] = v->padding[d];
    p.extent[d] = (v->kernel[d] - 1) * v->dilation[d] + 1;
  }
  for (int64_t t = 0; t < p.taps; t++) {
    p.down[t] = t / v->kernel[1] * v->dilation[0];
    p.right[t] = t % v->kernel[1] * v->dilation[1];
  }
  return p;
}

bool peri_patches_place(peri_patches *p, int64_t most) {
  for (int d = 0; d < 2; d++) {
    if ((double)(p->grid[d] - 1) * (double)p->step[d] + (double)p->extent[d] > PERI_MOST_COPIES) return false;
  }
  int64_t width = (p->grid[1] - 1) * p->step[1] + p->extent[1], height = (p->grid[0] - 1) * p->step[0] + p->extent[0];
  p->in_place = p->step[1] == 1 && p->before[0] <= 0 && p->before[1] <= 0 && height - p->before[0] <= p->size[0] &&
                width - p->before[1] <= p->size[1];
  p->phase = peri_min(most, p->grid[1]) - 1 + peri_ceil_div(p->extent[1], p->step[1]);
  p->pitch = p->in_place ? p->size[1] : p->phase * p->step[1];
  return true;
}

peri_patches peri_patches_window(const peri_patches *p, int64_t column, int64_t columns) {
  peri_patches part = *p;
  part.grid[1] = columns;
  part.before[1] -= column * p->step[1];
  return part;
}

int64_t peri_tap_offset(const peri_patches *p, int64_t tap) {
  int64_t right = p->right[tap];
  return p->down[tap] * p->pitch + right % p->step[1] * p->phase * !p->in_place + right / p->step[1];
}

int64_t peri_channel_step(const peri_patches *p, int64_t rows) {
  if (p->in_place) return p->size[0] * p->size[1];
  int64_t segments = peri_min(rows, rows / p->grid[0] + 2), gap = peri_max(0, p->extent[0] - p->step[0]);
  return peri_round_up((rows * p->step[0] + segments * gap) * p->pitch, 32) + 16; /* in other sets of a cache */
}

bool peri_patches_countable(const peri_patches *p, int64_t rows, int64_t channels) {
  double lines_of = (double)rows * ((double)p->step[0] + (double)p->extent[0]);
  return lines_of * (double)p->pitch * (double)channels < PERI_MOST_COPIES;
}

/* One row of an image with its columns in phases. */
static void copy_phases(const peri_patches *p, const peri_tile_kernels *tiles, const char *from, char *to) {
  const int64_t step = p->step[1], size = (int64_t)p->element;
  for (int64_t phase = 0; phase < step; phase++, to += p->phase * size) {
    int64_t shift = p->before[1] - phase; /* column i of the phase is column i step - shift of the image */
    int64_t first = peri_min(p->phase, peri_ceil_div(peri_max(0, shift), step));
    int64_t end = peri_max(first, peri_min(p->phase, peri_ceil_div(peri_max(0, p->size[1] + shift), step)));
    memset(to, 0, (size_t)(first * size));
    if (first < end) tiles->pick(end - first, step, from + (first * step - shift) * size, to + first * size);
    memset(to + end * size, 0, (size_t)((p->phase - end) * size));
  }
}

/* `rows` rows of one channel from `top` on, where some may lie above or below. */
static void copy_rows(const peri_patches *p, const peri_tile_kernels *tiles, const char *plane, int64_t top,
                      int64_t rows, char *to) {
  const int64_t size = (int64_t)p->element;
  int64_t first = peri_min(rows, peri_max(0, -top)), end = peri_max(first, peri_min(rows, p->size[0] - top));
  int64_t left = peri_min(p->pitch, peri_max(0, p->before[1])), skipped = peri_max(0, -p->before[1]);
  int64_t columns = peri_max(0, peri_min(p->pitch - left, p->size[1] - skipped));
  tiles->pad(first, 0, 0, p->pitch, to, 0, to, p->pitch);
  const char *from = plane + ((top + first) * p->size[1] + skipped) * size;
  char *body = to + first * p->pitch * size;
  if (p->step[1] == 1) {
    tiles->pad(end - first, left, columns, p->pitch - left - columns, from, p->size[1], body, p->pitch);
  } else {
    for (int64_t r = 0; r < end - first; r++)
      copy_phases(p, tiles, plane + (top + first + r) * p->size[1] * size, body + r * p->pitch * size);
  }
  tiles->pad(rows - end, 0, 0, p->pitch, to, 0, to + end * p->pitch * size, p->pitch);
}

/* Asks for rows of the plane that is copied next: where it begins, the processor does not foresee. */
static void fetch(const peri_patches *p, const char *plane, int64_t top, int64_t rows) {
  const int64_t row = p->size[1] * (int64_t)p->element;
  int64_t from = peri_max(0, top) * row, end = peri_min(p->size[0], top + rows) * row;
  for (int64_t at = from; at < end; at += 64) __builtin_prefetch(plane + at);
}

const char *peri_patches_lay(const peri_patches *p, const peri_tile_kernels *tiles, int64_t from, int64_t end,
                             int64_t channel, int64_t count, int64_t channel_step, char *room, int64_t *base) {
  const int64_t plane = p->size[0] * p->size[1], size = (int64_t)p->element;
  int64_t copied = 0;
  for (int64_t row = from; row < end;) {
    int64_t image = row / p->grid[0], y = row % p->grid[0], n = peri_min(end - row, p->grid[0] - y);
    int64_t top = y * p->step[0] - p->before[0], rows = (n - 1) * p->step[0] + p->extent[0];
    int64_t at = p->in_place ? image * p->channels * plane + top * p->pitch - p->before[1] : copied * p->pitch;
    for (int64_t i = 0; i < n; i++) base[row + i - from] = at + i * p->step[0] * p->pitch;
    for (int64_t c = 0; c < count && !p->in_place; c++) {
      const char *image_plane = p->data + (image * p->channels + channel + c) * plane * size;
      fetch(p, image_plane + plane * size, top, rows);
      copy_rows(p, tiles, image_plane, top, rows, room + (c * channel_step + at) * size);
    }
    copied += rows;
    row += n;
  }
  return p->in_place ? p->data + channel * plane * size : room;
}

int64_t peri_find_runs(const int64_t *base, int64_t width, int64_t first, int64_t count, peri_patch_run *run) {
  int64_t n = 0, row = first / width, x = first % width;
  for (int64_t at = 0; at < count; row++, x = 0) {
    int64_t from = base[row] + x, length = peri_min(width - x, count - at);
    if (n > 0 && run[n - 1].from + run[n - 1].count == from)
      run[n - 1].count += length;
    else
      run[n++] = (peri_patch_run){from, at, length};
    at += length;
  }
  return n;
}

peri_status peri_patches_too_large(peri_context *context) {
  return peri_fail_memory(context, "the padded images are too large to be copied");
}

void peri_convolution_end_run(const peri_context *context, peri_dtype dtype, const peri_convolution_end *end,
                              int64_t channel, int64_t count, const char *from, char *to, int64_t apart) {
  const peri_elementwise_kernels *loops = context->kernels->elementwise;
  const int64_t size = dtype == PERI_FLOAT64 ? sizeof(double) : sizeof(float);
  if (end->bias != NULL)
    loops->binary[PERI_BINARY_add][dtype](count, to, apart * size, from, size, (const char *)end->bias + channel * size,
                                          0);
  else if (from != to)
    loops->convert[dtype][dtype](count, to, apart * size, from, size);
  if (end->activation != NULL) end->activation(count, to, apart * size, to, apart * size);
}
