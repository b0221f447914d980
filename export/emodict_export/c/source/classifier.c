static void leaky(float *x, int count)
{
    for (int i = 0; i < count; i++) {
        x[i] = x[i] < 0.0f ? LEAKY_SLOPE * x[i] : x[i];
    }
}

/* Equations 4 to 9 of the paper: weights of the dictionary -> a distribution. */
static void classify(const member *model, const float *weights, float *work, float *distribution)
{
    float *const h1 = work, *const narrow = h1 + LATENT, *const wide = narrow + BOTTLENECK;
    float *gate = wide;
    product(&model->lbl1, weights, 1, h1);
    leaky(h1, LATENT);
    product(&model->lbl2, h1, 1, narrow);
    leaky(narrow, BOTTLENECK);
    product(&model->lbl3, narrow, 1, wide);
    leaky(wide, LATENT);
    if (model->gate.weights != NULL) {
        gate = wide + LATENT;
        product(&model->gate, wide, 1, gate);
    }
    for (int i = 0; i < LATENT; i++) {
        h1[i] /= 1.0f + expf(-gate[i]);
    }
    product(&model->to_emotions, h1, 1, distribution);
    softmax(distribution, EMODICT_EMOTIONS);
}
