/* Some bins of a spectrum. `bend` and `sine`, -4 sin^2(t/2) and sin(t) of a bin's angle t, stand in
   fours: every other bin from the first one on, then the others, both filled up to whole fours. */
typedef struct {
    int length; /* of the window */
    int first, count;
    const float *bend, *sine;
} spectrum_bins;

/* |X|^2 of four bins of a folded window, by Clenshaw's sums in the form of Reinsch, which loses
   nothing where the angle is small: no table of cosines, and one multiplication a sample. */
static four four_powers(const float *folded, int length, bool odd, four bend, four sine)
{
    const int half = length / 2, quarter = length / 4, step = odd ? 1 : -1;
    const float *for_cosine = folded + (odd ? half - quarter : quarter);
    const float *for_sine = folded + (odd ? length - quarter : half + quarter);
    /* A quarter of the way an even bin has no sine, and an odd one no cosine. */
    four change = all(odd ? 0.0f : *for_cosine), sum = change;
    four sine_change = all(odd ? *for_sine : 0.0f), sine_sum = sine_change;
    for (int left = quarter - 1; left > 0; left--) {
        for_cosine += step;
        for_sine += step;
        change = plus_product(plus(change, all(*for_cosine)), bend, sum);
        sum = plus(sum, change);
        sine_change = plus_product(plus(sine_change, all(*for_sine)), bend, sine_sum);
        sine_sum = plus(sine_sum, sine_change);
    }
    const four start = plus(change, all(folded[odd ? half : 0]));
    const four real = plus_product(start, times(all(0.5f), bend), sum);
    const four imaginary = times(sine, sine_sum);
    return plus_product(times(real, real), imaginary, imaginary);
}

/* |X|^2 of every bin, of a folded window. */
static void bin_powers(const spectrum_bins *bins, const float *folded, float *power)
{
    const float *bend = bins->bend, *sine = bins->sine;
    for (int start = 0; start < 2; start++) {
        const bool odd = (bins->first + start) % 2 == 1;
        for (int i = start; i < bins->count; i += 8) {
            float found[4];
            put(four_powers(folded, bins->length, odd, read(bend), read(sine)), found);
            for (int j = 0; j < 4 && i + 2 * j < bins->count; j++) {
                power[i + 2 * j] = found[j];
            }
            bend += 4;
            sine += 4;
        }
    }
}
