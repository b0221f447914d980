"""The commands: each parses, calls one library function, and prints."""

import os

# Every matrix product here is small: a second BLAS thread costs CPU time and saves none.
# Must be set before numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
