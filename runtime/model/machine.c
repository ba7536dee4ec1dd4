/* The table of machines, and what all of them have. */
#include "model/machine.h"

const peri_machine_type *const peri_machine_types[] = {
    &peri_machine_svc,        &peri_machine_nu_svc,    &peri_machine_svr,
    &peri_machine_nu_svr,     &peri_machine_one_class, &peri_machine_linear_svc,
    &peri_machine_linear_svr, &peri_machine_logistic,  NULL};

double peri_machine_value(const peri_machine *e, const char *name, double otherwise) {
  for (int i = 0; e->type->options[i].name != NULL; i++) {
    if (strcmp(e->type->options[i].name, name) == 0) return e->values[i];
  }
  return otherwise;
}

peri_machine_array peri_machine_classes(const peri_machine *e) {
  peri_machine_facts f = e->type->facts(e);
  return (peri_machine_array){PERI_INT64, 1, {f.k}, f.classes};
}
double peri_machine_gap(const peri_machine *e) { return e->type->facts(e).gap; }
double peri_machine_fit_status(const peri_machine *e) { return e->type->facts(e).fit_status; }
