/* Layers of pooling: rows of the operation table. */
#include "nn/kinds.h"
#include "ops/rows.h"

#define STRIDE(count)                                                                                                  \
  {                                                                                                                    \
    "stride", PERI_OPTION_INTEGER, 1, 1, INT32_MAX, NULL, "the distance of two windows; kernel_size where not given",  \
        count, "kernel_size"                                                                                           \
  }
#define PADDING(count)                                                                                                 \
  { "padding", PERI_OPTION_INTEGER, 0, 0, INT32_MAX, NULL, "around x, at most half of kernel_size", count }
#define DILATION(count)                                                                                                \
  { "dilation", PERI_OPTION_INTEGER, 1, 1, INT32_MAX, NULL, "the distance of a window's elements", count }
#define COUNT_PAD                                                                                                      \
  { "count_include_pad", PERI_OPTION_BOOL, 1, 0, 0, NULL, "padding counts as elements, which are 0" }
#define CEIL_MODE                                                                                                      \
  { "ceil_mode", PERI_OPTION_BOOL, 0, 0, 0, NULL, "a last window may reach beyond the padding" }

const peri_layer_kind peri_kind_max_pool2d = {
    .name = "MaxPool2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"kernel_size", 2}),
    .options = PERI_OPTIONS(STRIDE(2), PADDING(2), DILATION(2), CEIL_MODE),
    .row = &peri_op_max_pool2d,
    .sample = "{{2}, {T(2, 3, 4, 6)}}, {{{3, 2}, {stride = {2, 1}, padding = 1}}, {T(3, 5, 5)}}, "
              "{{2, {dilation = 2, ceil_mode = true}}, {T(1, 2, 5, 6)}}",
    .doc = "MaxPool2d(kernel_size, {stride = kernel_size, padding = 0, dilation = 1, ceil_mode = false}) -> layer\n"
           "The largest element of each window of N x C x H x W, or C x H x W: peri.max_pool2d. Sizes are numbers or "
           "{height, width}."};

const peri_layer_kind peri_kind_avg_pool2d = {
    .name = "AvgPool2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"kernel_size", 2}),
    .options = PERI_OPTIONS(STRIDE(2), PADDING(2), CEIL_MODE, COUNT_PAD),
    .row = &peri_op_avg_pool2d,
    .sample = "{{2}, {T(2, 3, 4, 6)}}, {{{3, 2}, {stride = {2, 1}, padding = 1}}, {T(3, 5, 5)}}, "
              "{{3, {padding = 1, ceil_mode = true, count_include_pad = false}}, {T(1, 2, 5, 6)}}",
    .doc = "AvgPool2d(kernel_size, {stride = kernel_size, padding = 0, ceil_mode = false, count_include_pad = true}) "
           "-> layer\n"
           "The mean of each window of N x C x H x W, or C x H x W: peri.avg_pool2d. Sizes are numbers or {height, "
           "width}."};

const peri_layer_kind peri_kind_adaptive_avg_pool2d = {
    .name = "AdaptiveAvgPool2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"output_size", 2}),
    .row = &peri_op_adaptive_avg_pool2d,
    .sample = "{{1}, {T(2, 3, 4, 6)}}, {{{2, 3}}, {T(3, 5, 5)}}, {{5}, {T(1, 2, 3, 4)}}",
    .doc = "AdaptiveAvgPool2d(output_size) -> layer\n"
           "Means of N x C x H x W, or C x H x W, over so many parts of height and width, whatever those are: "
           "peri.adaptive_avg_pool2d. output_size is a number or {height, width}; 1 is the mean of each channel."};

const peri_layer_kind peri_kind_adaptive_max_pool2d = {
    .name = "AdaptiveMaxPool2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"output_size", 2}),
    .row = &peri_op_adaptive_max_pool2d,
    .sample = "{{1}, {T(2, 3, 4, 6)}}, {{{2, 3}}, {T(3, 5, 5)}}, {{5}, {T(1, 2, 3, 4)}}",
    .doc = "AdaptiveMaxPool2d(output_size) -> layer\n"
           "The largest elements of N x C x H x W, or C x H x W, in so many parts of height and width, whatever those "
           "are: peri.adaptive_max_pool2d. output_size is a number or {height, width}."};

/* ---- sequences ---- */

const peri_layer_kind peri_kind_max_pool1d = {
    .name = "MaxPool1d",
    .inputs = 1,
    .sizes = PERI_SIZES({"kernel_size"}),
    .options = PERI_OPTIONS(STRIDE(1), PADDING(1), DILATION(1), CEIL_MODE),
    .row = &peri_op_max_pool1d,
    .sample = "{{2}, {T(2, 3, 6)}}, {{3, {stride = 2, padding = 1}}, {T(3, 5)}}, "
              "{{2, {dilation = 2, ceil_mode = true}}, {T(1, 2, 6)}}",
    .doc = "MaxPool1d(kernel_size, {stride = kernel_size, padding = 0, dilation = 1, ceil_mode = false}) -> layer\n"
           "The largest element of each window of N x C x L, or C x L: peri.max_pool1d."};

const peri_layer_kind peri_kind_avg_pool1d = {
    .name = "AvgPool1d",
    .inputs = 1,
    .sizes = PERI_SIZES({"kernel_size"}),
    .options = PERI_OPTIONS(STRIDE(1), PADDING(1), CEIL_MODE, COUNT_PAD),
    .row = &peri_op_avg_pool1d,
    .sample = "{{2}, {T(2, 3, 6)}}, {{3, {stride = 2, padding = 1}}, {T(3, 5)}}, "
              "{{3, {padding = 1, ceil_mode = true, count_include_pad = false}}, {T(1, 2, 6)}}",
    .doc = "AvgPool1d(kernel_size, {stride = kernel_size, padding = 0, ceil_mode = false, count_include_pad = true}) "
           "-> layer\n"
           "The mean of each window of N x C x L, or C x L: peri.avg_pool1d."};

const peri_layer_kind peri_kind_adaptive_avg_pool1d = {
    .name = "AdaptiveAvgPool1d",
    .inputs = 1,
    .sizes = PERI_SIZES({"output_size"}),
    .row = &peri_op_adaptive_avg_pool1d,
    .sample = "{{1}, {T(2, 3, 6)}}, {{2}, {T(3, 5)}}, {{5}, {T(1, 2, 3)}}",
    .doc = "AdaptiveAvgPool1d(output_size) -> layer\n"
           "Means of N x C x L, or C x L, over so many parts of the length, whatever that is: "
           "peri.adaptive_avg_pool1d."};
