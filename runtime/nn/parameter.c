#include "nn/parameter.h"

#include "kernels/kernels.h"

peri_status peri_parameter_new(peri_tensor *x, peri_tensor **out) {
  *out = NULL;
  if (!peri_is_float(x->layout.dtype)) {
    return peri_fail(peri_tensor_context(x), PERI_ERR_ARGUMENT,
                     "Parameter: the tensor is %s (expected float32 or float64)", peri_dtype_name(x->layout.dtype));
  }
  if (x->requires_grad && x->node == NULL && x->contiguous) {
    *out = peri_tensor_retain(x);
    return PERI_OK;
  }
  if (x->contiguous) {
    PERI_TRY(peri_tensor_detach(x, out));
  } else {
    PERI_TRY(peri_tensor_contiguous(x, out));
  }
  (*out)->requires_grad = true;
  return PERI_OK;
}

peri_status peri_parameter_convert(peri_tensor *parameter, peri_dtype dtype, peri_tensor **out) {
  peri_layout layout;
  peri_layout_set(&layout, dtype, parameter->layout.ndim, parameter->layout.shape);
  PERI_TRY(peri_tensor_empty(peri_tensor_context(parameter), &layout, out));
  peri_status status = peri_tensor_copy_into(*out, parameter);
  if (status != PERI_OK) {
    peri_tensor_release(out);
    return status;
  }
  (*out)->requires_grad = parameter->requires_grad;
  return PERI_OK;
}

/* ---- writing ---- */

void peri_parameter_assign(peri_tensor *parameter, peri_tensor *source) {
  peri_context *context = peri_tensor_context(parameter);
  bool shielded = context->shielded;
  peri_refuse_replay(context, "a state is loaded");
  context->shielded = true;
  peri_tensor_copy_into(parameter, source);
  context->shielded = shielded;
  parameter->storage->version++;
}

static void fill_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  const peri_tensor *x = arg;
  peri_loop1 copy = peri_tensor_context(x)->kernels->elementwise->convert[x->layout.dtype][x->layout.dtype];
  copy(n, data[0], strides[0], data[1], strides[1]);
}

static void fill_strided(peri_tensor *x) {
  peri_context *context = peri_context_here(peri_tensor_context(x));
  peri_iterator iterator;
  double zero = 0;
  peri_iterator_open(&iterator, x->layout.ndim, x->layout.shape, 2, (const peri_view *[]){&x->view, &x->view});
  peri_iterator_scalar(&iterator, 1, &zero);
  bool shielded = context->shielded;
  context->shielded = true;
  peri_iterate(context, &iterator, fill_row, x);
  context->shielded = shielded;
}

static void zero_grad(peri_tensor *parameter) {
  peri_tensor *g = parameter->grad;
  if (g == NULL) return;
  if (g->contiguous) {
    memset(g->data, 0, (size_t)g->layout.numel * peri_dtype_size(g->layout.dtype));
  } else {
    fill_strided(g);
  }
  g->storage->version++;
}

/* ---- replays ---- */

static peri_status zero_again(void *parameter) {
  zero_grad(parameter);
  return PERI_OK;
}
static void release_again(void *parameter) { peri_tensor_release(&(peri_tensor *){parameter}); }

void peri_parameter_zero_grad(peri_tensor *parameter) {
  peri_recorder *r = peri_tensor_context(parameter)->recorder;
  zero_grad(parameter);
  if (r == NULL) return;
  r->leaf(r, parameter, false);
  r->act(r, &(peri_act){"zero_grad", zero_again, release_again, peri_tensor_retain(parameter), parameter});
}
