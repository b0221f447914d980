"""What may run in FP16 or INT8, and what it costs in KL and Chebyshev of the distribution."""
