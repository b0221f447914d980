/* Move the window on by a second; what is missing is NaN. */
static void push(const statistics_spec *spec, const float *fresh, float *window)
{
    const int kept = spec->samples - spec->fresh;
    for (int i = 0; i < kept; i++) {
        window[i] = window[i + spec->fresh];
    }
    for (int i = 0; i < spec->fresh; i++) {
        window[kept + i] = fresh == NULL ? NAN : fresh[i];
    }
}

static void copy(const float *from, int count, float *to)
{
    for (int i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

/* The statistics of a series of first and of one of second differences. */
static void describe_differences(const statistics_spec *spec, const float *window, float *work,
                                 float *spare, float *out)
{
    const int samples = spec->samples;
    if (spec->section_count == 0) {
        describe(plain_series(window, samples, 1, work), samples - 1, false, out);
        describe(plain_series(window, samples, 2, work), samples - 2, false, out + 7);
        return;
    }
    float last = 0.0f;
    copy(filtered_series(spec, window, true, work, &last), samples - 2, spare);
    describe(spare, samples - 2, true, out + 7);
    add_up(work, samples + 2 * spec->padding, last);
    describe(work + spec->padding + 1, samples - 1, true, out);
}

/* The 27 statistics of a usable window, and its density where that is wanted. `work` has room for
   two windows, one of them extended. */
static void window_statistics(const statistics_spec *spec, const float *window, float *work,
                              float *out)
{
    float *const spare = work + spec->samples + 2 * spec->padding;
    const bool filtered = spec->section_count > 0;
    float *const series = filtered ? filtered_series(spec, window, false, work, NULL)
                                   : plain_series(window, spec->samples, 0, work);
    copy(series, spec->samples, spare);
    describe(spare, spec->samples, filtered, out);
    if (spec->density_taper != NULL) {
        out[27] = mean_density(spec, series);
    }
    describe_spectrum(spec, series, spare, out + 21);
    describe_differences(spec, window, work, spare, out + 7);
}
