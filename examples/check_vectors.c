/* Are the rows of model.c on this device Python's? Compile it with what
   `emodict-export model.pt -o model.c --check-vectors .` has written:

       cc -O2 check_vectors.c model.c -lm && ./a.out

   On a microcontroller printf goes to wherever yours goes. The program ends with 0 where all seconds
   are right. */
#include "model.h"
#include "vectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef EMODICT_EEG_SAMPLES
#define EEG emodict_vector_eeg[second],
#else
#define EEG
#endif
#ifdef EMODICT_GSR_SAMPLES
#define GSR emodict_vector_gsr[second],
#else
#define GSR
#endif
#ifdef EMODICT_PPG_SAMPLES
#define PPG emodict_vector_ppg[second],
#else
#define PPG
#endif
#ifdef EMODICT_VIDEO_VALUES
#define VIDEO emodict_vector_video[second],
#else
#define VIDEO
#endif

static emodict_state state;
static emodict_row row;

/* How far the largest share is off; infinite where one side has an answer and the other has none. */
static float farthest(int second)
{
    float most = 0.0f;
    if (row.answered != (emodict_vector_answered[second] == 1)) {
        return INFINITY;
    }
    for (int i = 0; row.answered && i < EMODICT_EMOTIONS; i++) {
        most = fmaxf(most, fabsf(row.distribution[i] - emodict_vector_distribution[second][i]));
    }
    return most;
}

static bool valid_is_equal(int second)
{
    for (int i = 0; i < EMODICT_MODALITIES; i++) {
        if (row.valid[i] != (emodict_vector_valid[second][i] == 1)) {
            return false;
        }
    }
    return true;
}

int main(void)
{
    const float within = strcmp(EMODICT_PRECISION, "fp32") == 0 ? 1e-5f : 2e-3f;
    int wrong = 0;
    emodict_init(&state);
    for (int second = 0; second < EMODICT_VECTOR_SECONDS; second++) {
        emodict_second(&state, EEG PPG GSR VIDEO &row);
        const float off = farthest(second);
        if (!valid_is_equal(second) || !(off <= within)) {
            printf("second %d: valid %s, shares off by %g\n", second,
                   valid_is_equal(second) ? "equal" : "other", (double)off);
            wrong++;
        }
    }
    printf("%d of %d seconds are Python's\n", EMODICT_VECTOR_SECONDS - wrong,
           EMODICT_VECTOR_SECONDS);
    return wrong != 0;
}
