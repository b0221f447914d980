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

/* The 27 statistics of a usable window, and its density where that is wanted. `work` has room for
   two windows, one of them extended. */
static void window_statistics(const statistics_spec *spec, const float *window, float *work,
                              float *out)
{
    float *const spare = work + spec->samples + 2 * spec->padding;
    const bool filtered = spec->section_count > 0;
    float at_end = 0.0f;
    for (int order = 0; order < 3; order++) {
        float *series = filtered ? filtered_series(spec, window, order, work, &at_end)
                                 : plain_series(window, spec->samples, order, work);
        const int count = spec->samples - order;
        if (order == 0) {
            for (int i = 0; i < count; i++) {
                spare[i] = series[i];
            }
            describe(spare, count, filtered, out);
            if (spec->density_taper != NULL) {
                out[27] = mean_density(spec, series);
            }
            describe_spectrum(spec, series, spare, out + 21);
        } else {
            describe(series, count, filtered, out + 7 * order);
        }
    }
}
