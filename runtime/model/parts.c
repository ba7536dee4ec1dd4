/* Layers and machines as descriptions, both ways. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- layers ---- */

static const peri_layer_kind *find_kind(const char *name) {
  const peri_layer_kind *const *kind = peri_layer_kinds;
  while (*kind != NULL && strcmp((*kind)->name, name) != 0) kind++;
  return *kind;
}

static bool is_elsewhere(const char *name) {
  const char *const *other = peri_layers_elsewhere;
  while (*other != NULL && strcmp(*other, name) != 0) other++;
  return *other != NULL;
}

static bool has_parameters(const peri_layer_kind *kind) { return peri_kind_parameters(kind)[0].name != NULL; }

/* The numbers of a size: one, which stands for all of a list that is not open, or as many as the list has. */
static peri_status read_size(peri_context *context, const char *name, const peri_item *item,
                             const peri_layer_size *size, int64_t *out) {
  const int n = peri_layer_size_values(size);
  const int64_t low = size->zero ? 0 : 1, high = (int64_t)1 << 52;
  if (item->kind != PERI_ITEM_TABLE) {
    for (int i = 0; i < n; i++) {
      out[i] = 0;
      if (i == 0 || !size->open) PERI_TRY(peri_item_whole(context, name, item, size->name, low, high, &out[i]));
    }
    return PERI_OK;
  }
  if (size->open ? item->count < 1 || item->count > n : item->count != n)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s has %d entries (expected %d)", name, size->name, item->count,
                     n);
  int i = 0;
  for (const peri_item *child = item->first; child != NULL; child = child->next)
    PERI_TRY(peri_item_whole(context, name, child, size->name, low, high, &out[i++]));
  for (; i < n; i++) out[i] = 0;
  return PERI_OK;
}

static peri_status read_dtype(peri_context *context, const char *name, const peri_item *table, peri_dtype *dtype) {
  const peri_item *item = peri_item_find(table, "dtype");
  *dtype = PERI_FLOAT32;
  if (item == NULL) return PERI_OK;
  const bool wide = item->kind == PERI_ITEM_WORD && strcmp(item->text, "float64") == 0;
  if (!wide && (item->kind != PERI_ITEM_WORD || strcmp(item->text, "float32") != 0))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: dtype must be 'float32' or 'float64'", name);
  if (wide) *dtype = PERI_FLOAT64;
  return PERI_OK;
}

peri_status peri_read_layer(peri_context *context, const char *operation, const peri_item *item,
                            peri_layer_source source, void *arg, peri_layer **out) {
  static const char *const also[] = {"dtype", NULL};
  int64_t sizes[PERI_LAYER_SIZES] = {0};
  double options[PERI_LAYER_VALUES];
  peri_dtype dtype;
  *out = NULL;
  const peri_layer_kind *kind = item->kind == PERI_ITEM_CALL ? find_kind(item->text) : NULL;
  if (kind == NULL && item->kind == PERI_ITEM_CALL && is_elsewhere(item->text))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: libperilune_score has no %s (libperilune has)", operation,
                     item->text);
  if (kind == NULL)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %.60s is no layer of nn", operation,
                     item->kind == PERI_ITEM_CALL ? item->text : "what stands in a Sequential");
  const peri_item *child = item->first, *table = item;
  int n = 0;
  for (const peri_layer_size *size = peri_kind_sizes(kind); size->name != NULL; size++) {
    if (child == NULL || child->key != NULL)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is missing", kind->name, size->name);
    PERI_TRY(read_size(context, kind->name, child, size, &sizes[n]));
    n += peri_layer_size_values(size);
    child = child->next;
  }
  const bool places = n > 0;
  if (child != NULL && child->key == NULL) {
    if (child->kind != PERI_ITEM_TABLE || child->next != NULL)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: too many arguments (expected options by name)", kind->name);
    table = child;
  }
  peri_layer_defaults(kind, sizes, options);
  PERI_TRY(peri_item_options(context, kind->name, table, peri_kind_options(kind), has_parameters(kind) ? also : NULL,
                             table == item && places, options));
  PERI_TRY(read_dtype(context, kind->name, table, &dtype));
  return peri_layer_from(context, kind, dtype, sizes, options, source, arg, out);
}

void peri_write_layer(peri_writer *w, const peri_layer *layer) {
  const peri_layer_kind *kind = layer->kind;
  const int64_t *value = layer->sizes;
  peri_write(w, "%s(", kind->name);
  for (const peri_layer_size *size = peri_kind_sizes(kind); size->name != NULL; size++) {
    const int n = peri_layer_size_values(size);
    peri_write(w, "%s%s", size == peri_kind_sizes(kind) ? "" : ", ", n > 1 ? "{" : "");
    for (int i = 0; i < n; i++, value++) {
      if (i > 0 && size->open && *value == 0) continue;
      peri_write(w, "%s%lld", i > 0 ? ", " : "", (long long)*value);
    }
    if (n > 1) peri_write(w, "}");
  }
  const bool options = peri_kind_options(kind)[0].name != NULL, own = has_parameters(kind);
  if (options || own) {
    peri_write(w, peri_kind_sizes(kind)[0].name != NULL ? ", {" : "{");
    peri_write_options(w, peri_kind_options(kind), layer->options);
    if (own) peri_write(w, "%sdtype = '%s'", options ? ", " : "", peri_dtype_name(layer->dtype));
    peri_write(w, "}");
  }
  peri_write(w, ")");
}

/* ---- machines ---- */

static const peri_machine_type *find_type(const char *name) {
  if (strncmp(name, "svm.", 4) != 0) return NULL;
  const peri_machine_type *const *type = peri_machine_types;
  while (*type != NULL && strcmp((*type)->name, name + 4) != 0) type++;
  return *type;
}

static int by_label(const void *a, const void *b) {
  int64_t x = ((const peri_class_weight *)a)->label, y = ((const peri_class_weight *)b)->label;
  return (x > y) - (x < y);
}

/* The entries of class_weight into list, ascending by label. */
static peri_status fill_weights(peri_context *context, const char *name, const peri_item *item,
                                peri_class_weight *list) {
  int64_t place = 1; /* {2, 1}: of labels 1 and 2 */
  int n = 0;
  for (const peri_item *child = item->first; child != NULL; child = child->next) {
    double label = child->labelled ? child->label : (double)place++;
    if (child->key != NULL || label != floor(label) || fabs(label) > 0x1p53 || child->kind != PERI_ITEM_NUMBER ||
        !(child->number > 0) || isinf(child->number))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: class_weight has an entry that is no label and weight > 0",
                       name);
    list[n++] = (peri_class_weight){(int64_t)label, child->number};
  }
  qsort(list, (size_t)n, sizeof *list, by_label);
  for (int i = 1; i < n; i++) {
    if (list[i].label == list[i - 1].label)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: class_weight has label %lld twice", name,
                       (long long)list[i].label);
  }
  return PERI_OK;
}

static peri_status read_weights(peri_context *context, const char *name, const peri_item *item, peri_machine *e,
                                peri_class_weight **out) {
  const size_t n = (size_t)item->count;
  e->weighted = true;
  e->balanced = item->kind == PERI_ITEM_WORD && strcmp(item->text, "balanced") == 0;
  if (e->balanced) return PERI_OK;
  if (item->kind != PERI_ITEM_TABLE)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: class_weight must be 'balanced' or {[label] = weight}", name);
  if (n == 0) return PERI_OK;
  void *block;
  PERI_TRY(peri_alloc_array(context, n, sizeof **out, &block));
  peri_status status = fill_weights(context, name, item, block);
  if (status != PERI_OK) {
    peri_free(context, block, n * sizeof **out);
    return status;
  }
  e->list = *out = block;
  e->weights = (int64_t)n;
  return PERI_OK;
}

static peri_status read_options(peri_context *context, const peri_item *item, peri_machine *e,
                                peri_class_weight **weights) {
  static const char *const also[] = {"class_weight", NULL};
  const peri_machine_type *type = e->type;
  peri_option_defaults(type->options, e->values);
  PERI_TRY(peri_item_options(context, type->name, item, type->options, type->weighs ? also : NULL, false, e->values));
  for (int i = 0; type->options[i].name != NULL && type->positive != NULL; i++) {
    const char *name = type->options[i].name, *found = strstr(type->positive, name);
    const size_t length = strlen(name);
    bool listed = found != NULL && (found == type->positive || found[-1] == ' ') &&
                  (found[length] == ' ' || found[length] == '\0');
    if (listed && !(e->values[i] > 0) && e->values[i] != type->options[i].otherwise)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is %g (expected a number > 0)", type->name, name,
                       e->values[i]);
  }
  const peri_item *given = type->weighs ? peri_item_find(item, "class_weight") : NULL;
  return given == NULL ? PERI_OK : read_weights(context, type->name, given, e, weights);
}

peri_status peri_read_machine(peri_context *context, const char *operation, const peri_item *item, peri_machine *e,
                              peri_class_weight **weights) {
  *e = (peri_machine){.context = context, .type = find_type(item->text)};
  *weights = NULL;
  if (e->type == NULL) return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %.60s is no machine", operation, item->text);
  return read_options(context, item, e, weights);
}

void peri_write_machine(peri_writer *w, const peri_machine *e) {
  peri_write(w, "svm.%s{", e->type->name);
  peri_write_options(w, e->type->options, e->values);
  if (e->balanced) peri_write(w, ", class_weight = 'balanced'");
  if (e->weights > 0) {
    peri_write(w, ", class_weight = {");
    for (int64_t i = 0; i < e->weights; i++) {
      peri_write(w, "%s[%lld] = ", i > 0 ? ", " : "", (long long)e->list[i].label);
      peri_write_number(w, e->list[i].weight);
    }
    peri_write(w, "}");
  }
  peri_write(w, "}");
}
