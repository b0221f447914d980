/* Four floats, each in a register of its own. */
typedef struct {
    float a, b, c, d;
} four;

static four all(float x)
{
    return (four){x, x, x, x};
}

static four read(const float *x)
{
    return (four){x[0], x[1], x[2], x[3]};
}

static four read_weights(const weight *x)
{
    return (four){x[0], x[1], x[2], x[3]};
}

static void put(four x, float *out)
{
    out[0] = x.a;
    out[1] = x.b;
    out[2] = x.c;
    out[3] = x.d;
}

static four plus(four x, four y)
{
    return (four){x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
}

static four times(four x, four y)
{
    return (four){x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d};
}

/* x + y z. */
static four plus_product(four x, four y, four z)
{
    return (four){x.a + y.a * z.a, x.b + y.b * z.b, x.c + y.c * z.c, x.d + y.d * z.d};
}
