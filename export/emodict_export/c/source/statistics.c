/* The statistics of a window, its differences and its spectrum: emodict/features/statistics.py. */

/* A signal of one channel that is described by statistics. */
typedef struct {
    int samples; /* of the window */
    int fresh;   /* of them, new every second */
    float lower, upper;
    const float *bend; /* of the spectrum, see real_parts */
    const section *sections; /* of the filter inside the window, forward and backward; or NULL */
    int section_count, padding;
    float gain;      /* of the filter, both ways */
    const float *density_taper; /* NULL: no density is wanted */
} statistics_spec;

typedef struct {
    float low, high, mean;
} summary;

/* Everything is taken against the first value, whose subtraction is exact. */
static summary summarise(const float *x, int count)
{
    summary found = {x[0], x[0], 0.0f};
    float sum = 0.0f;
    for (int i = 0; i < count; i++) {
        found.low = x[i] < found.low ? x[i] : found.low;
        found.high = x[i] > found.high ? x[i] : found.high;
        sum += x[i] - x[0];
    }
    found.mean = x[0] + sum / (float)count;
    return found;
}

/* Seven values: median, mean, standard deviation, least, most, and the shares of samples that equal
   these two. A filtered series has no ties: its extremes are there once. The order changes. */
static void describe(float *x, int count, bool filtered, float *out)
{
    const summary found = summarise(x, count);
    float squares = 0.0f;
    int lowest = 0, highest = 0;
    for (int i = 0; i < count; i++) {
        squares += (x[i] - found.mean) * (x[i] - found.mean);
        lowest += x[i] == found.low;
        highest += x[i] == found.high;
    }
    out[1] = found.mean;
    out[2] = sqrtf(squares / (float)count);
    out[3] = found.low;
    out[4] = found.high;
    out[5] = (float)(filtered ? 1 : lowest) / (float)count;
    out[6] = (float)(filtered ? 1 : highest) / (float)count;
    out[0] = median(x, count);
}

/* Median, mean, deviation, least, most and range of the real part of the spectrum: the mean is the
   first sample, and by Parseval the deviation is the root of the squares of the others. The window
   is overwritten; `spare` has room for as many values. */
static void describe_spectrum(const statistics_spec *spec, float *x, float *spare, float *out)
{
    const float first = x[0];
    float squares = 0.0f;
    for (int i = 1; i < spec->samples; i++) {
        squares += x[i] * x[i];
    }
    /* The level is only in the first bin: taken off, it costs the others no digits. */
    for (int i = 0; i < spec->samples; i++) {
        x[i] -= first;
    }
    fold(x, spec->samples);
    real_parts(spec->bend, x, spec->samples, spare);
    spare[0] += (float)spec->samples * first;
    const summary found = summarise(spare, spec->samples);
    out[0] = median(spare, spec->samples);
    out[1] = first;
    out[2] = sqrtf(squares);
    out[3] = found.low;
    out[4] = found.high;
    out[5] = found.high - found.low;
}

/* Mean of the Welch density of one Hann segment; by Parseval the squares of the tapered window. */
static float mean_density(const statistics_spec *spec, const float *x)
{
    const float mean = summarise(x, spec->samples).mean;
    float squares = 0.0f;
    for (int i = 0; i < spec->samples; i++) {
        const float tapered = (x[i] - mean) * spec->density_taper[i];
        squares += tapered * tapered;
    }
    return squares;
}
