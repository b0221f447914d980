/* Four floats in one register. */
typedef float four __attribute__((vector_size(16)));

static four all(float x)
{
    return (four){x, x, x, x};
}

static four read(const float *x)
{
    four found;
    __builtin_memcpy(&found, x, sizeof found);
    return found;
}

static four read_weights(const weight *x)
{
    if (sizeof *x == sizeof(float)) {
        four found;
        __builtin_memcpy(&found, x, sizeof found);
        return found;
    }
    return (four){x[0], x[1], x[2], x[3]};
}

static void put(four x, float *out)
{
    __builtin_memcpy(out, &x, sizeof x);
}

static four plus(four x, four y)
{
    return x + y;
}

static four times(four x, four y)
{
    return x * y;
}

/* x + y z. */
static four plus_product(four x, four y, four z)
{
    return x + y * z;
}
