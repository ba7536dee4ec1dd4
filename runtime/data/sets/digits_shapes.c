/* How people write digits. Drawn by hand for Perilune, after the common forms: a 1 with and without
 * flag and foot, a 4 open and closed, a 7 with and without its bar, an 8 in one stroke or two. */
#include "data/sets/digits.h"
#include "base/base.h"

static const peri_shape_point zero_round[] = {{52, 2},  {29, 11}, {17, 46}, {28, 86}, {51, 98},
                                              {75, 85}, {84, 49}, {74, 13}, {49, 3}};
static const peri_shape_point zero_narrow[] = {{62, 3},  {42, 18}, {27, 52}, {31, 88}, {46, 97},
                                               {64, 81}, {75, 45}, {72, 13}, {57, 4}};
static const peri_shape_point zero_curled[] = {{68, 17}, {49, 4},  {27, 22}, {18, 58}, {35, 94},
                                               {60, 95}, {80, 64}, {78, 27}, {60, 7},  {43, 11}};
static const peri_shape_point zero_wide[] = {{38, 6},  {16, 32}, {16, 70}, {38, 96}, {66, 94},
                                             {86, 64}, {80, 24}, {56, 5},  {34, 9}};

static const peri_shape_point one_plain[] = {{51, 2}, {50, 35}, {50, 66}, {49, 98}};
static const peri_shape_point one_slanted[] = {{63, 2}, {55, 36}, {47, 66}, {38, 98}};
static const peri_shape_point one_flag[] = {{33, 24}, {46, 15}, {57, 2}, {57, 2}, {55, 50}, {54, 98}};
static const peri_shape_point one_foot[] = {{35, 20},    {55, 3},  {55, 3},  {54, 50}, {53, 96},
                                            PERI_PEN_UP, {32, 97}, {54, 96}, {74, 97}};

static const peri_shape_point two_flat[] = {{22, 26}, {32, 8},  {54, 2},  {74, 14}, {74, 36}, {56, 60},
                                            {37, 79}, {18, 96}, {18, 96}, {50, 95}, {84, 93}};
static const peri_shape_point two_looped[] = {{22, 22}, {40, 4},  {66, 6},  {76, 26}, {66, 52}, {44, 80},
                                              {26, 93}, {18, 85}, {29, 76}, {49, 86}, {66, 96}, {86, 88}};
static const peri_shape_point two_sharp[] = {{25, 15}, {50, 4},  {74, 10}, {72, 28}, {48, 58},
                                             {20, 94}, {20, 94}, {50, 91}, {80, 96}};
static const peri_shape_point two_swan[] = {{30, 30}, {30, 12}, {50, 3},  {68, 14}, {66, 40}, {50, 68},
                                            {24, 95}, {24, 95}, {46, 88}, {64, 94}, {84, 90}};

static const peri_shape_point three_round[] = {{24, 14}, {46, 2},  {70, 12}, {70, 32}, {46, 46}, {46, 46},
                                               {74, 57}, {80, 78}, {60, 96}, {37, 96}, {18, 84}};
static const peri_shape_point three_flat[] = {{22, 6},  {50, 5},  {77, 5},  {77, 5},  {60, 24}, {44, 41},
                                              {44, 41}, {70, 48}, {80, 68}, {66, 92}, {42, 98}, {20, 88}};
static const peri_shape_point three_looped[] = {{26, 10}, {52, 2},  {72, 16}, {62, 38}, {45, 47}, {39, 52},
                                                {50, 49}, {74, 60}, {76, 84}, {52, 98}, {24, 90}};
static const peri_shape_point three_slanted[] = {{34, 8},  {58, 3},  {76, 16}, {66, 36}, {46, 46},
                                                 {46, 46}, {66, 58}, {66, 80}, {46, 96}, {18, 92}};

static const peri_shape_point four_open[] = {{28, 4},  {25, 30},    {22, 54}, {22, 54}, {50, 53},
                                             {84, 50}, PERI_PEN_UP, {68, 18}, {65, 58}, {62, 98}};
static const peri_shape_point four_closed[] = {{62, 2},  {40, 29},    {16, 63}, {16, 63}, {50, 62},
                                               {87, 60}, PERI_PEN_UP, {63, 3},  {62, 50}, {60, 98}};
static const peri_shape_point four_curved[] = {{24, 6},     {19, 33}, {33, 52}, {56, 49}, {75, 32},
                                               PERI_PEN_UP, {78, 4},  {71, 46}, {62, 98}};
static const peri_shape_point four_sail[] = {{56, 98}, {62, 50}, {66, 4},  {66, 4}, {40, 30},
                                             {17, 56}, {17, 56}, {48, 60}, {84, 58}};

static const peri_shape_point five_hatted[] = {{31, 6},  {28, 26}, {25, 44}, {25, 44},    {47, 38}, {70, 46}, {78, 68},
                                               {64, 92}, {40, 98}, {20, 88}, PERI_PEN_UP, {31, 6},  {54, 5},  {80, 3}};
static const peri_shape_point five_single[] = {{78, 4},  {56, 5},  {34, 7},  {34, 7},  {31, 24}, {28, 43}, {28, 43},
                                               {50, 38}, {72, 50}, {76, 74}, {58, 95}, {36, 97}, {18, 86}};
static const peri_shape_point five_snake[] = {{78, 8},  {54, 4},  {34, 14}, {33, 34}, {54, 45},
                                              {72, 60}, {72, 82}, {50, 97}, {22, 90}};
static const peri_shape_point five_leaning[] = {{84, 3},  {62, 6},  {44, 8},  {44, 8},  {36, 26}, {30, 44},
                                                {30, 44}, {52, 44}, {66, 58}, {60, 82}, {38, 97}, {14, 92}};

static const peri_shape_point six_round[] = {{68, 4},  {44, 20}, {26, 48}, {22, 76}, {38, 97},
                                             {62, 94}, {76, 76}, {66, 56}, {44, 54}, {25, 72}};
static const peri_shape_point six_straight[] = {{54, 2},  {38, 32}, {27, 63}, {31, 90}, {50, 98},
                                                {70, 86}, {70, 66}, {52, 57}, {31, 71}};
static const peri_shape_point six_wide[] = {{80, 10}, {56, 4},  {32, 22}, {20, 56}, {28, 90},
                                            {54, 98}, {77, 82}, {72, 60}, {50, 54}, {26, 68}};
static const peri_shape_point six_low[] = {{58, 3},  {36, 34}, {22, 68}, {30, 94}, {56, 96},
                                           {74, 82}, {64, 68}, {44, 70}, {28, 84}};

static const peri_shape_point seven_plain[] = {{19, 8}, {50, 7}, {81, 6}, {81, 6}, {64, 42}, {46, 98}};
static const peri_shape_point seven_barred[] = {{20, 7},  {50, 6},     {79, 6},  {79, 6},  {62, 48},
                                                {46, 98}, PERI_PEN_UP, {34, 53}, {54, 51}, {75, 49}};
static const peri_shape_point seven_ticked[] = {{20, 25}, {22, 8},  {22, 8},  {50, 8}, {78, 6},
                                                {78, 6},  {61, 36}, {52, 66}, {48, 98}};
static const peri_shape_point seven_waved[] = {{18, 14}, {36, 5},  {60, 10}, {80, 6},
                                               {80, 6},  {70, 36}, {52, 64}, {40, 97}};

static const peri_shape_point eight_snake[] = {{70, 15}, {50, 2},  {30, 14}, {34, 34}, {52, 48}, {72, 67}, {69, 90},
                                               {48, 98}, {28, 88}, {30, 66}, {50, 48}, {69, 32}, {71, 13}};
static const peri_shape_point eight_stacked[] = {{50, 2},  {31, 12}, {31, 35},    {50, 46}, {69, 35},
                                                 {69, 12}, {49, 2},  PERI_PEN_UP, {50, 46}, {26, 59},
                                                 {26, 87}, {50, 98}, {75, 87},    {75, 59}, {49, 46}};
static const peri_shape_point eight_open[] = {{75, 9},  {48, 4},  {28, 20}, {44, 44}, {68, 64}, {70, 88},
                                              {48, 98}, {28, 84}, {36, 60}, {60, 38}, {73, 17}};
static const peri_shape_point eight_slim[] = {{64, 8},  {48, 4},  {36, 20}, {46, 42}, {60, 64}, {58, 90},
                                              {42, 97}, {32, 80}, {44, 56}, {62, 34}, {66, 14}, {54, 3}};

static const peri_shape_point nine_straight[] = {{74, 20}, {52, 4},  {28, 14}, {24, 38}, {44, 50},
                                                 {66, 40}, {76, 17}, {76, 17}, {72, 56}, {66, 98}};
static const peri_shape_point nine_hooked[] = {{73, 16}, {50, 3},  {28, 16}, {28, 40}, {50, 50}, {70, 37},
                                               {77, 14}, {77, 14}, {76, 52}, {64, 85}, {42, 98}, {23, 90}};
static const peri_shape_point nine_slanted[] = {{72, 12}, {46, 5},  {25, 27}, {36, 48},
                                                {60, 40}, {74, 13}, {68, 52}, {54, 97}};
static const peri_shape_point nine_big[] = {{78, 28}, {60, 4},  {30, 8},  {18, 34}, {36, 58},
                                            {64, 50}, {79, 24}, {78, 60}, {68, 97}};

#define SHAPE(points)                                                                                                  \
  { PERI_COUNT(points), points }
const peri_shape peri_shapes[10][PERI_SHAPES_PER_DIGIT] = {
    {SHAPE(zero_round), SHAPE(zero_narrow), SHAPE(zero_curled), SHAPE(zero_wide)},
    {SHAPE(one_plain), SHAPE(one_slanted), SHAPE(one_flag), SHAPE(one_foot)},
    {SHAPE(two_flat), SHAPE(two_looped), SHAPE(two_sharp), SHAPE(two_swan)},
    {SHAPE(three_round), SHAPE(three_flat), SHAPE(three_looped), SHAPE(three_slanted)},
    {SHAPE(four_open), SHAPE(four_closed), SHAPE(four_curved), SHAPE(four_sail)},
    {SHAPE(five_hatted), SHAPE(five_single), SHAPE(five_snake), SHAPE(five_leaning)},
    {SHAPE(six_round), SHAPE(six_straight), SHAPE(six_wide), SHAPE(six_low)},
    {SHAPE(seven_plain), SHAPE(seven_barred), SHAPE(seven_ticked), SHAPE(seven_waved)},
    {SHAPE(eight_snake), SHAPE(eight_stacked), SHAPE(eight_open), SHAPE(eight_slim)},
    {SHAPE(nine_straight), SHAPE(nine_hooked), SHAPE(nine_slanted), SHAPE(nine_big)},
};
