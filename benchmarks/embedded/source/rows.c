/* Seconds from seconds.bin through a model, the rows to rows.bin: on a desk, or on a board whose
   files are its debugger's (semihosting). All numbers are floats; before each modality's samples
   stands 1, or 0 where it is missing and the samples are to be passed over. */
#include "model.h"

#include <stdio.h>

static emodict_state state;
static emodict_row row;

/* The samples, or NULL; false at the end of the file. */
static bool take(FILE *file, float *samples, size_t count, const float **given)
{
    float there = 0.0f;
    if (fread(&there, sizeof there, 1, file) != 1) {
        return false;
    }
    if (fread(samples, sizeof *samples, count, file) != count) {
        return false;
    }
    *given = there > 0.5f ? samples : NULL;
    return true;
}

static void put(FILE *file, const float *values, size_t count)
{
    fwrite(values, sizeof *values, count, file);
}

static void put_row(FILE *file)
{
    float flags[1 + EMODICT_MODALITIES];
    flags[0] = row.answered ? 1.0f : 0.0f;
    for (int i = 0; i < EMODICT_MODALITIES; i++) {
        flags[1 + i] = row.valid[i] ? 1.0f : 0.0f;
    }
    put(file, flags, 1 + EMODICT_MODALITIES);
    put(file, row.quality, EMODICT_MODALITIES);
    put(file, row.distribution, EMODICT_EMOTIONS);
    put(file, row.weights, EMODICT_WEIGHTS);
}

#ifdef EMODICT_EEG_SAMPLES
static float eeg[EMODICT_EEG_SAMPLES][EMODICT_EEG_CHANNELS];
#endif
#ifdef EMODICT_GSR_SAMPLES
static float gsr[EMODICT_GSR_SAMPLES];
#endif
#ifdef EMODICT_PPG_SAMPLES
static float ppg[EMODICT_PPG_SAMPLES];
#endif
#ifdef EMODICT_VIDEO_VALUES
static float video[EMODICT_VIDEO_VALUES];
#endif

int main(void)
{
    FILE *seconds = fopen("seconds.bin", "rb"), *rows = fopen("rows.bin", "wb");
    if (seconds == NULL || rows == NULL) {
        return 2;
    }
    emodict_init(&state);
    for (;;) {
        const float *given = NULL;
#ifdef EMODICT_EEG_SAMPLES
        if (!take(seconds, &eeg[0][0], EMODICT_EEG_SAMPLES * EMODICT_EEG_CHANNELS, &given)) {
            break;
        }
        const bool has_eeg = given != NULL;
#define EEG has_eeg ? eeg : NULL,
#else
#define EEG
#endif
#ifdef EMODICT_GSR_SAMPLES
        if (!take(seconds, gsr, EMODICT_GSR_SAMPLES, &given)) {
            break;
        }
        const bool has_gsr = given != NULL;
#define GSR has_gsr ? gsr : NULL,
#else
#define GSR
#endif
#ifdef EMODICT_PPG_SAMPLES
        if (!take(seconds, ppg, EMODICT_PPG_SAMPLES, &given)) {
            break;
        }
        const bool has_ppg = given != NULL;
#define PPG has_ppg ? ppg : NULL,
#else
#define PPG
#endif
#ifdef EMODICT_VIDEO_VALUES
        if (!take(seconds, video, EMODICT_VIDEO_VALUES, &given)) {
            break;
        }
        const bool has_video = given != NULL;
#define VIDEO has_video ? video : NULL,
#else
#define VIDEO
#endif
        emodict_second(&state, EEG GSR PPG VIDEO &row);
        put_row(rows);
    }
    fclose(seconds);
    return fclose(rows);
}
