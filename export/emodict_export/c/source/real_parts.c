/* The real parts of four bins, all even or all odd, of a folded window; see four_powers. */
static four four_cosines(const float *folded, int length, bool odd, four bend)
{
    const int half = length / 2, quarter = length / 4, step = odd ? 1 : -1;
    const float *part = folded + (odd ? half - quarter : quarter);
    four change = all(odd ? 0.0f : *part), sum = change;
    for (int left = quarter - 1; left > 0; left--) {
        part += step;
        change = plus_product(plus(change, all(*part)), bend, sum);
        sum = plus(sum, change);
    }
    const four start = plus(change, all(folded[odd ? half : 0]));
    return plus_product(start, times(all(0.5f), bend), sum);
}

/* The real part of every bin of a folded window's spectrum, the mirrored bins included. `bend` holds
   -4 sin^2(t/2) of the angles t of the bins 0, 2, 4 ... up to a quarter of the length, then of
   1, 3, 5 ..., both filled up to whole fours. Bin half - k is k's with every other sample's sign
   changed: so no angle is beyond a right one, and none of the sums grows. */
static void real_parts(const float *bend, float *folded, int length, float *real)
{
    const int half = length / 2, quarter = length / 4;
    for (int mirrored = 0; mirrored < 2; mirrored++) {
        const float *next = bend;
        for (int start = 0; start < 2; start++) {
            for (int bin = start; bin <= quarter; bin += 8) {
                float found[4];
                put(four_cosines(folded, length, start == 1, read(next)), found);
                for (int j = 0; j < 4 && bin + 2 * j <= quarter; j++) {
                    const int at = bin + 2 * j;
                    real[mirrored ? half - at : at] = found[j];
                }
                next += 4;
            }
        }
        for (int n = 1; n <= quarter; n += 2) {
            folded[n] = -folded[n];
            if (n < quarter) {
                folded[half - n] = -folded[half - n];
            }
        }
    }
    for (int bin = 1; bin < half; bin++) {
        real[length - bin] = real[bin];
    }
}
