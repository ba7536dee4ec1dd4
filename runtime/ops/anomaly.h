/* The mode that detects anomalies (context->detect_anomaly): every result of a call whose arguments are finite, and
 * every gradient in a walk back, is looked at, and NaN or an infinity is an error that says where it came from. Nodes
 * keep the script's place at which they were recorded. */
#ifndef PERI_ANOMALY_H
#define PERI_ANOMALY_H

#include "ops/node.h"

/* "nan", "inf", "nan and inf", or NULL where all elements are finite, or no floats. */
const char *peri_anomaly_of(const peri_tensor *x);
/* Whether all arguments of a call are finite: if not, what it gives is nobody's fault. */
bool peri_anomaly_free(const peri_call *call);
/* Fails when a result is not finite. */
peri_status peri_anomaly_check_results(const peri_call *call);
/* The gradients that arrived at a node, and those that its formula gave by its inputs. `operation` opens messages. */
peri_status peri_anomaly_check_arrived(const peri_node *node, const char *operation);
peri_status peri_anomaly_check_answers(const peri_node *node, peri_tensor *const *answers, const char *operation);
/* Keeps the script's place with the node; place is what context->where wrote. */
peri_status peri_anomaly_place(peri_context *context, peri_node *node, const char *place);

#endif
