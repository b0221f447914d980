/* Fold a window, whose length is a multiple of 4, in place: what its four quarters have in common
   is multiplied only once. In the Fourier transform the cosines of an even bin then meet x[n], of
   an odd one x[length/2 - n]; the sines of an even bin meet x[length/2 + n], of an odd one
   x[length - n]; n goes up to length/4. */
static void fold(float *x, int length)
{
    const int half = length / 2, quarter = length / 4;
    const float first = x[0];
    x[0] = first + x[half];
    x[half] = first - x[half];
    for (int n = 1; n < quarter; n++) {
        const float outer = x[n] + x[length - n], outer_odd = x[n] - x[length - n];
        const float inner = x[half - n] + x[half + n], inner_odd = x[half - n] - x[half + n];
        x[n] = outer + inner;
        x[half - n] = outer - inner;
        x[half + n] = outer_odd - inner_odd;
        x[length - n] = outer_odd + inner_odd;
    }
    const float left = x[quarter], right = x[length - quarter];
    x[quarter] = left + right;
    x[length - quarter] = left - right;
}
