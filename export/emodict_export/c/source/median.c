static float middle_of(float a, float b, float c)
{
    const float low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* The value that stands at `place` in the sorted series, which is put in order around it: Hoare. */
static float select_place(float *x, int count, int place)
{
    int left = 0, right = count - 1;
    while (left < right) {
        const float pivot = middle_of(x[left], x[(left + right) / 2], x[right]);
        int i = left, j = right;
        do {
            while (x[i] < pivot) {
                i++;
            }
            while (pivot < x[j]) {
                j--;
            }
            if (i <= j) {
                const float swap = x[i];
                x[i++] = x[j];
                x[j--] = swap;
            }
        } while (i <= j);
        if (place <= j) {
            right = j;
        } else if (place >= i) {
            left = i;
        } else {
            break;
        }
    }
    return x[place];
}

/* The series is reordered. */
static float median(float *x, int count)
{
    const float above = select_place(x, count, count / 2);
    if (count % 2 == 1) {
        return above;
    }
    float below = x[0];
    for (int i = 1; i < count / 2; i++) {
        below = larger(below, x[i]);
    }
    return 0.5f * (below + above);
}
