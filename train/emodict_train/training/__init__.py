"""How networks are trained: many at once, step by step, on rows that are changed on their way."""
