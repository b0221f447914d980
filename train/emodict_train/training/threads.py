"""One thread for everything that computes: the products here are small,
and whole networks run side by side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within, torch, BLAS and OpenMP compute on one thread.

    More would win nothing, and beside other work they would wait for each other. The same seed also
    gives the same model then, however many cores there are.
    """
    # Only libraries that are loaded can be limited:
    # SciPy has a BLAS of its own, scikit-learn an OpenMP.
    import scipy.linalg  # noqa: F401
    import sklearn.utils  # noqa: F401
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)
