/* How slowly the signal moves: up to `clean` units a second the score is 1. */
static float step_score(const float *window, int samples, float rate_hz, float clean)
{
    float steepest = 0.0f;
    for (int i = 1; i < samples; i++) {
        steepest = larger(steepest, fabsf(window[i] - window[i - 1]));
    }
    return clean / larger(steepest * rate_hz, clean);
}
