/* Features that a model can compute with: nothing but numbers, none of them beyond its range. */
static bool usable(const float *features, int count)
{
    for (int i = 0; i < count; i++) {
        if (!(fabsf(features[i]) <= LARGEST_FEATURE)) {
            return false;
        }
    }
    return true;
}
