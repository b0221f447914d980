/* The least program that runs a model: its size is that of the model, of what libm adds to it, and
   of the state, the row and one second of signals. */
#include "signals.h"

static emodict_state state;

void start(void);

void start(void)
{
    emodict_init(&state);
    for (;;) {
        emodict_second(&state, SIGNALS &row);
    }
}
