/* All loops of one float type, by what tiles.isa.c has defined for it, and its end. */
#include "product/micro.h"
#include "product/tile.h"
#include "product/patch.h"
#include "product/abreast.h"
#undef T
#undef FN
#undef V
#undef QUARTER
#undef MADD
#undef LOAD
#undef STORE
#undef MASK
#undef MASK_OF
#undef MERGE
#undef LANES
#undef EACH_LANE
