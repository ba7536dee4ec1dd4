/* Model files of LIBSVM, those that svm-train writes and svm-predict reads.
 *
 *   svm_type c_svc          one of peri_svm_type_table's names
 *   kernel_type polynomial  linear, polynomial, rbf, sigmoid, precomputed
 *   degree 3                polynomial
 *   gamma 0.5               polynomial, rbf, sigmoid
 *   coef0 0                 polynomial, sigmoid
 *   nr_class 3              k; 2 where there are no classes
 *   total_sv 4              s
 *   rho 0.5 0.25 1          k (k - 1) / 2: f = sum of coefficient * kernel - rho, positive for the first of the pair
 *   label 2 1 3             k, in the file's own order, which pairs follow
 *   probA, probB            k (k - 1) / 2 each, when there are probabilities
 *   nr_sv 2 1 1             k: support vectors of each class
 *   SV
 *   0.5 1 1:0.25 3:1        s lines: max(k - 1, 1) coefficients, then the features that are not 0
 *
 * Every line has its end: in a file that was cut the last number may lack digits.
 *
 * A file does not say how many rows the fit had, which of them the support vectors are, nor how many features there
 * were; nor C, nu and epsilon. */
#ifndef PERI_SVM_MODEL_LIBSVM_H
#define PERI_SVM_MODEL_LIBSVM_H

#include "svm/svm.h"

typedef struct peri_libsvm_options {
  int64_t features; /* of the fit (its rows when the kernel is precomputed); 0: the largest index of the file */
  bool zero_based;  /* indices count from 0 */
} peri_libsvm_options;

/* Reads a machine, float64, that decides as svm-predict does: classes become ascending, and decisions turn their signs
 * with them. Its n is the number of support vectors, which `support` numbers in the order of the file (precomputed: n
 * is the number of features, and support says the rows); options that no file tells have their defaults.
 * What it refuses it names with the line; sizes are checked against the file and the budget before anything is
 * allocated. On failure *out is NULL. */
peri_status peri_svm_read_libsvm(peri_context *context, const char *path, const peri_libsvm_options *options,
                                 peri_svm **out);
/* The same from memory; name stands for the file in messages. */
peri_status peri_svm_parse_libsvm(peri_context *context, const char *name, const void *bytes, size_t size,
                                  const peri_libsvm_options *options, peri_svm **out);

/* Writes a machine, classes ascending, with as many digits as give the same numbers when they are read. Where the last
 * feature is 0 in all support vectors it stands in the first of them, so that the number of features is read back. */
peri_status peri_svm_write_libsvm(peri_context *context, const char *path, const peri_svm *model);

/* The name of a kernel in these files. */
const char *peri_libsvm_kernel_name(peri_svm_kernel_id id);

#endif
