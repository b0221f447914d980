/* The share of the 0.5-8 Hz power that lies at one pulse and its first overtone. */
typedef struct {
    const float *taper; /* its first half; the second mirrors it */
    spectrum_bins bins;
    int first_in_band, last_in_band;
    int slowest, fastest; /* bins that a pulse may be in */
} pulse_spec;

/* The power of a bin, 0 outside of those that were looked at. */
static float power_at(const pulse_spec *spec, const float *power, int bin)
{
    const int at = bin - spec->bins.first;
    return at >= 0 && at < spec->bins.count ? power[at] : 0.0f;
}

static bool beside(int bin, int other)
{
    return bin - 1 <= other && other <= bin + 1;
}

/* `work` has room for the window. */
static float pulse_share(const pulse_spec *spec, const float *window, float *work)
{
    const int samples = spec->bins.length;
    float power[MOST_BINS];
    const float mean = summarise(window, samples).mean;
    for (int i = 0, j = samples - 1; i < j; i++, j--) {
        work[i] = spec->taper[i] * (window[i] - mean);
        work[j] = spec->taper[i] * (window[j] - mean);
    }
    fold(work, samples);
    bin_powers(&spec->bins, work, power);
    float total = 0.0f;
    for (int bin = spec->first_in_band; bin <= spec->last_in_band; bin++) {
        total += power_at(spec, power, bin);
    }
    int pulse = spec->slowest;
    for (int bin = pulse + 1; bin <= spec->fastest; bin++) {
        pulse = power_at(spec, power, bin) > power_at(spec, power, pulse) ? bin : pulse;
    }
    float peak = 0.0f;
    for (int bin = spec->bins.first; bin < spec->bins.first + spec->bins.count; bin++) {
        if (beside(bin, pulse) || beside(bin, 2 * pulse)) {
            peak += power_at(spec, power, bin);
        }
    }
    if (!(total > 0.0f)) {
        return 0.0f;
    }
    return peak < total ? peak / total : 1.0f;
}
