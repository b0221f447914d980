/* One second of whatever signals the model has: what of it was in the file, or NULL. */
#include "model.h"

#include <stddef.h>
#include <stdio.h>

/* Not static: a compiler that saw that nothing sets them would leave the model out. */
#ifdef EMODICT_EEG_SAMPLES
static float eeg[EMODICT_EEG_SAMPLES][EMODICT_EEG_CHANNELS];
bool has_eeg;
#define EEG has_eeg ? eeg : NULL,
#else
#define EEG
#endif
#ifdef EMODICT_GSR_SAMPLES
static float gsr[EMODICT_GSR_SAMPLES];
bool has_gsr;
#define GSR has_gsr ? gsr : NULL,
#else
#define GSR
#endif
#ifdef EMODICT_PPG_SAMPLES
static float ppg[EMODICT_PPG_SAMPLES];
bool has_ppg;
#define PPG has_ppg ? ppg : NULL,
#else
#define PPG
#endif
#ifdef EMODICT_VIDEO_VALUES
static float video[EMODICT_VIDEO_VALUES];
bool has_video;
#define VIDEO has_video ? video : NULL,
#else
#define VIDEO
#endif

/* Arguments of emodict_second, in the order of every model. */
#define SIGNALS EEG PPG GSR VIDEO

static emodict_row row;

/* A float that is 1 where the modality is there, and its samples; false at the end of the file. */
static inline bool read_samples(FILE *file, float *samples, size_t count, bool *there)
{
    float flag;
    if (fread(&flag, sizeof flag, 1, file) != 1) {
        return false;
    }
    *there = flag > 0.0f;
    return fread(samples, sizeof *samples, count, file) == count;
}

static inline bool read_signals(FILE *file)
{
    bool whole = file != NULL;
#ifdef EMODICT_EEG_SAMPLES
    whole = whole
        && read_samples(file, &eeg[0][0], EMODICT_EEG_SAMPLES * EMODICT_EEG_CHANNELS, &has_eeg);
#endif
#ifdef EMODICT_GSR_SAMPLES
    whole = whole && read_samples(file, gsr, EMODICT_GSR_SAMPLES, &has_gsr);
#endif
#ifdef EMODICT_PPG_SAMPLES
    whole = whole && read_samples(file, ppg, EMODICT_PPG_SAMPLES, &has_ppg);
#endif
#ifdef EMODICT_VIDEO_VALUES
    whole = whole && read_samples(file, video, EMODICT_VIDEO_VALUES, &has_video);
#endif
    return whole;
}
