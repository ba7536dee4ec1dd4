/* Recurrent cells of one float type; cells.isa.c includes this file with T, FN, TANH, SIGMOID and MADD. Elements go by
 * blocks, through arrays on the stack, so that the last ones cost as little as the others. */

typedef struct FN(block) {
  T at[BLOCK];
} FN(block);

#define EACH PERI_INDEPENDENT for (int i = 0; i < BLOCK; i++)

/* Conditions, that sets with masks make vectors of, as a copy of so many bytes would have to be waited for. */
static PERI_NOINLINE FN(block) FN(load_last)(const T *from, int64_t n) {
  FN(block) b;
  const int count = (int)n;
  EACH b.at[i] = i < count ? from[i] : 0;
  return b;
}
static PERI_ALWAYS_INLINE FN(block) FN(load)(const void *from, int64_t at, int64_t n) {
  if (n < BLOCK) return FN(load_last)((const T *)from + at, n);
  FN(block) b;
  memcpy(b.at, (const T *)from + at, sizeof b.at);
  return b;
}

static PERI_ALWAYS_INLINE void FN(store)(const FN(block) * b, void *to, int64_t at, int64_t n) {
  if (n == BLOCK)
    memcpy((T *)to + at, b->at, sizeof b->at);
  else
    memcpy((T *)to + at, b->at, (size_t)n * sizeof(T));
}

/* What the state adds to a gate. */
static PERI_ALWAYS_INLINE FN(block) FN(of_state)(const peri_cell_row *row, int64_t at, int64_t n) {
  FN(block) p = FN(load)(row->product, at, n);
  if (row->bias == NULL) return p;
  FN(block) bias = FN(load)(row->bias, at, n);
  EACH p.at[i] += bias.at[i];
  return p;
}

static PERI_ALWAYS_INLINE FN(block) FN(gate)(const peri_cell_row *row, int64_t at, int64_t n) {
  FN(block) x = FN(load)(row->x, at, n), p = FN(of_state)(row, at, n);
  EACH x.at[i] += p.at[i];
  return x;
}

/* A call costs little beside sixteen of these, and their code would stand four times in a cell. */
static PERI_NOINLINE FN(block) FN(sigmoids)(FN(block) x) {
  EACH x.at[i] = SIGMOID(x.at[i]);
  return x;
}
static PERI_NOINLINE FN(block) FN(tanhs)(FN(block) x) {
  EACH x.at[i] = TANH(x.at[i]);
  return x;
}

/* The gradient that arrives at h: by the output and by the step behind. */
static PERI_ALWAYS_INLINE FN(block) FN(arriving)(const peri_cell_slope *row, int64_t at, int64_t n) {
  FN(block) g = FN(load)(row->gh, at, n);
  if (row->gy == NULL) return g;
  FN(block) gy = FN(load)(row->gy, at, n);
  EACH g.at[i] += gy.at[i];
  return g;
}

#define BLOCKS(row, j, m) for (int64_t j = 0, m; m = peri_min(BLOCK, (row)->n - j), j < (row)->n; j += BLOCK)

/* ---- h = tanh(x + W h + b), or relu ---- */

static void FN(tanh_cell)(const peri_cell_row *row) {
  BLOCKS(row, j, m) {
    FN(block) y = FN(tanhs)(FN(gate)(row, j, m));
    FN(store)(&y, row->h, j, m);
    FN(store)(&y, row->y, j, m);
  }
}

static void FN(relu_cell)(const peri_cell_row *row) {
  BLOCKS(row, j, m) {
    FN(block) y = FN(gate)(row, j, m);
    EACH y.at[i] = !(y.at[i] <= 0) ? y.at[i] : 0;
    FN(store)(&y, row->h, j, m);
    FN(store)(&y, row->y, j, m);
  }
}

static PERI_ALWAYS_INLINE void FN(simple_slope)(const peri_cell_slope *row, bool relu) {
  BLOCKS(row, j, m) {
    FN(block) g = FN(arriving)(row, j, m), y = FN(load)(row->y, j, m), zero = {{0}};
    EACH g.at[i] = relu ? (y.at[i] > 0 ? g.at[i] : 0) : g.at[i] * (1 - y.at[i] * y.at[i]);
    FN(store)(&g, row->gx, j, m);
    FN(store)(&zero, row->gh, j, m);
  }
}
static void FN(tanh_slope)(const peri_cell_slope *row) { FN(simple_slope)(row, false); }
static void FN(relu_slope)(const peri_cell_slope *row) { FN(simple_slope)(row, true); }

/* ---- r, z = sigmoid(x + W h + b), n = tanh(x + r (W h + b)), h = n + z (h - n) ---- */

static void FN(gru_cell)(const peri_cell_row *row) {
  const int64_t n = row->n;
  BLOCKS(row, j, m) {
    FN(block) r = FN(sigmoids)(FN(gate)(row, j, m)), z = FN(sigmoids)(FN(gate)(row, n + j, m));
    FN(block) new = FN(load)(row->x, 2 * n + j, m), scaled = FN(of_state)(row, 2 * n + j, m);
    EACH new.at[i] = MADD(r.at[i], scaled.at[i], new.at[i]);
    new = FN(tanhs)(new);
    FN(block) h = FN(load)(row->h, j, m);
    EACH h.at[i] = MADD(z.at[i], h.at[i] - new.at[i], new.at[i]);
    FN(store)(&h, row->h, j, m);
    FN(store)(&h, row->y, j, m);
    if (row->kept == NULL) continue;
    FN(store)(&r, row->kept, j, m);
    FN(store)(&z, row->kept, n + j, m);
    FN(store)(&new, row->kept, 2 * n + j, m);
    FN(store)(&scaled, row->kept, 3 * n + j, m);
  }
}

static void FN(gru_slope)(const peri_cell_slope *row) {
  const int64_t n = row->n;
  BLOCKS(row, j, m) {
    FN(block) g = FN(arriving)(row, j, m), h = FN(load)(row->before, j, m);
    FN(block) r = FN(load)(row->kept, j, m), z = FN(load)(row->kept, n + j, m);
    FN(block) new = FN(load)(row->kept, 2 * n + j, m), scaled = FN(load)(row->kept, 3 * n + j, m);
    FN(block) gr, gz, gn, gs;
    EACH gz.at[i] = g.at[i] * (h.at[i] - new.at[i]) * (z.at[i] * (1 - z.at[i]));
    EACH gn.at[i] = g.at[i] * (1 - z.at[i]) * (1 - new.at[i] * new.at[i]);
    EACH gr.at[i] = gn.at[i] * scaled.at[i] * (r.at[i] * (1 - r.at[i]));
    EACH gs.at[i] = gn.at[i] * r.at[i];
    EACH g.at[i] *= z.at[i];
    FN(store)(&g, row->gh, j, m);
    FN(store)(&gr, row->gx, j, m);
    FN(store)(&gr, row->gp, j, m);
    FN(store)(&gz, row->gx, n + j, m);
    FN(store)(&gz, row->gp, n + j, m);
    FN(store)(&gn, row->gx, 2 * n + j, m);
    FN(store)(&gs, row->gp, 2 * n + j, m);
  }
}

/* ---- i, f, o = sigmoid(x + W h + b), g = tanh(x + W h + b), c = f c + i g, h = o tanh(c) ---- */

static void FN(lstm_cell)(const peri_cell_row *row) {
  const int64_t n = row->n;
  BLOCKS(row, j, m) {
    FN(block) in = FN(sigmoids)(FN(gate)(row, j, m)), forget = FN(sigmoids)(FN(gate)(row, n + j, m));
    FN(block) new = FN(tanhs)(FN(gate)(row, 2 * n + j, m)), out = FN(sigmoids)(FN(gate)(row, 3 * n + j, m));
    FN(block) c = FN(load)(row->c, j, m);
    EACH c.at[i] = MADD(forget.at[i], c.at[i], in.at[i] * new.at[i]);
    FN(block) h = FN(tanhs)(c);
    EACH h.at[i] *= out.at[i];
    FN(store)(&c, row->c, j, m);
    FN(store)(&h, row->h, j, m);
    FN(store)(&h, row->y, j, m);
    if (row->kept == NULL) continue;
    FN(store)(&in, row->kept, j, m);
    FN(store)(&forget, row->kept, n + j, m);
    FN(store)(&new, row->kept, 2 * n + j, m);
    FN(store)(&out, row->kept, 3 * n + j, m);
    FN(store)(&c, row->kept, 4 * n + j, m);
  }
}

static void FN(lstm_slope)(const peri_cell_slope *row) {
  const int64_t n = row->n;
  BLOCKS(row, j, m) {
    FN(block) in = FN(load)(row->kept, j, m), forget = FN(load)(row->kept, n + j, m);
    FN(block) new = FN(load)(row->kept, 2 * n + j, m), out = FN(load)(row->kept, 3 * n + j, m);
    FN(block) bent = FN(tanhs)(FN(load)(row->kept, 4 * n + j, m)), before = FN(load)(row->before, j, m);
    FN(block) g = FN(arriving)(row, j, m), gc = FN(load)(row->gc, j, m), zero = {{0}};
    EACH gc.at[i] += g.at[i] * out.at[i] * (1 - bent.at[i] * bent.at[i]);
    EACH g.at[i] *= bent.at[i] * (out.at[i] * (1 - out.at[i]));
    EACH bent.at[i] = gc.at[i] * new.at[i] * (in.at[i] * (1 - in.at[i]));
    EACH before.at[i] *= gc.at[i] * (forget.at[i] * (1 - forget.at[i]));
    EACH new.at[i] = gc.at[i] * in.at[i] * (1 - new.at[i] * new.at[i]);
    EACH gc.at[i] *= forget.at[i];
    FN(store)(&bent, row->gx, j, m);
    FN(store)(&before, row->gx, n + j, m);
    FN(store)(&new, row->gx, 2 * n + j, m);
    FN(store)(&g, row->gx, 3 * n + j, m);
    FN(store)(&gc, row->gc, j, m);
    FN(store)(&zero, row->gh, j, m);
  }
}

#undef EACH
#undef BLOCKS
