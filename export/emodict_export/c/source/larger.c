static float larger(float x, float y)
{
    return x > y ? x : y;
}
