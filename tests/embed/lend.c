/* Tensors without Lua: a buffer of the host is lent, not copied, and its deleter runs exactly once, whatever
 * happens. Linked with libperilune alone. */
#include <perilune/perilune.h>
#include <stdio.h>
#include <stdlib.h>

static void give_back(void *data, void *user) {
  free(data);
  ++*(int *)user;
}

int main(void) {
  int given_back = 0;
  peri_context *context;
  peri_tensor *image, *same;
  if (peri_context_new(NULL, &context) != PERI_OK) return 1;

  uint8_t *pixels = calloc(28 * 28, 1);
  if (pixels == NULL) return 1;
  pixels[3] = 200;
  if (peri_tensor_lend(context, PERI_UINT8, 2, (int64_t[]){28, 28}, pixels, give_back, &given_back, &image) !=
      PERI_OK) {
    fprintf(stderr, "lend: %s\n", peri_message(context));
    return 1;
  }
  same = peri_tensor_retain(image);
  peri_tensor_release(&image);
  printf("%s, %d dimensions, pixel 3 is %d, ", peri_dtype_name(peri_tensor_dtype(same)), peri_tensor_ndim(same),
         ((const uint8_t *)peri_tensor_data(same))[3]);
  printf("given back %d times\n", given_back);
  peri_tensor_release(&same); /* the last reference */
  printf("after the last release: %d\n", given_back);

  /* A refused loan is given back at once. */
  pixels = calloc(1, 1);
  peri_status status =
      peri_tensor_lend(context, PERI_UINT8, 1, (int64_t[]){-1}, pixels, give_back, &given_back, &image);
  printf("status %d, '%s', given back %d times\n", status, peri_message(context), given_back);
  peri_context_release(&context);
  return !(given_back == 2 && status == PERI_ERR_ARGUMENT && image == NULL);
}
