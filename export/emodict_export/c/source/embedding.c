/* A frame's vector, which is passed on. */
static bool take_vector(const float *vector, int count, float lower, float upper, float *features)
{
    if (vector == NULL) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!(vector[i] >= lower && vector[i] <= upper)) {
            return false;
        }
        features[i] = vector[i];
    }
    return usable(features, count);
}
