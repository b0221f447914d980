/* Log band powers of causally filtered channels: emodict/features/band_power.py. */
typedef struct {
    int first_bin, bins;
    const float *weights;
} band;

typedef struct {
    int samples, channels;
    float lower, upper;
    float clean;         /* a swing up to this is of quality 1 */
    int settle;          /* seconds until the filter's output is trusted */
    const section *sections;
    int section_count;
    float rest1, rest2;  /* where a constant 1 brings the first section, which lets none through */
    const float *taper;  /* the filter's gain included */
    spectrum_bins bins; /* of all bands */
    const band *bands;
    int band_count;
    float log_scale, log_offset;
    int band_step, channel_step; /* in the features */
} band_power_spec;

/* What is carried for one channel. */
typedef struct {
    float *states;
    float *reference;       /* is taken off every sample: the filter never sees an electrode's offset */
    unsigned char *seconds; /* since the filter began */
} channel_state;

/* Filter one channel's second into `work`; false while the filter settles. */
static bool filter_channel(const band_power_spec *spec, const float *x, channel_state state,
                           float *work)
{
    const float reference = x[0];
    if (*state.seconds == 0) {
        /* As if the first sample had always been there. */
        for (int i = 0; i < 2 * spec->section_count; i++) {
            state.states[i] = 0.0f;
        }
    } else {
        /* Another reference: the first section moves by what the difference has made of it. */
        state.states[0] += spec->rest1 * (*state.reference - reference);
        state.states[1] += spec->rest2 * (*state.reference - reference);
    }
    *state.reference = reference;
    for (int i = 0; i < spec->samples; i++) {
        work[i] = x[i * spec->channels] - reference;
    }
    filter(spec->sections, spec->section_count, work, spec->samples, 1, state.states);
    const bool settled = *state.seconds >= spec->settle;
    *state.seconds = (unsigned char)(settled ? spec->settle : *state.seconds + 1);
    return settled;
}

/* One value a band, from a filtered second, which is overwritten; false where a band is empty. */
static bool band_values(const band_power_spec *spec, float *work, float *features)
{
    float power[MOST_BINS];
    for (int i = 0; i < spec->samples; i++) {
        work[i] *= spec->taper[i];
    }
    fold(work, spec->samples);
    bin_powers(&spec->bins, work, power);
    for (int b = 0; b < spec->band_count; b++) {
        const band *wanted = &spec->bands[b];
        float sum = 0.0f;
        for (int i = 0; i < wanted->bins; i++) {
            sum += wanted->weights[i] * power[wanted->first_bin - spec->bins.first + i];
        }
        if (!(sum > 0.0f)) {
            return false;
        }
        features[b * spec->band_step] = spec->log_scale * logf(sum) + spec->log_offset;
    }
    return true;
}

/* A second of all channels, time first; `states`, `references` and `seconds` hold one entry each.

   A channel that is broken begins anew after it; the others go on. */
static bool band_powers(const band_power_spec *spec, const float *x, float *states,
                        float *references, unsigned char *seconds, float *work, float *features,
                        float *quality)
{
    bool valid = x != NULL;
    float clean = 0.0f;
    for (int c = 0; c < spec->channels; c++) {
        const channel_state state = {states + 2 * spec->section_count * c, references + c,
                                     seconds + c};
        extremes found;
        if (x == NULL
            || !within(x + c, spec->samples, spec->channels, spec->lower, spec->upper, &found)
            || !moves(&found) || stuck(x + c, spec->samples, spec->channels, &found)
            || saturated(x + c, spec->samples, spec->channels, &found)) {
            *state.seconds = 0;
            valid = false;
            continue;
        }
        clean += spec->clean / larger(found.swing, spec->clean);
        valid = filter_channel(spec, x + c, state, work) && valid;
        valid = valid && band_values(spec, work, features + c * spec->channel_step);
    }
    valid = valid && usable(features, spec->channels * spec->band_count);
    *quality = valid ? clean / (float)spec->channels : 0.0f;
    return valid;
}
