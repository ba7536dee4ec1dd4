/* The mode that detects anomalies, as scripts set it; and where the script is. */
#ifndef PERI_BIND_ANOMALY_H
#define PERI_BIND_ANOMALY_H

#include "bind.h"

/* Pushes "script:line: " of the nearest Lua code that is not the module's own, and gives the level of what that has
 * called; without such code "" and -1. */
int bind_push_position(lua_State *L);
/* Lets the context ask where the script is. */
void bind_open_anomaly(bind_state *S);

#endif
