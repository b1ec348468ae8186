"""Benchmarks: measurements that take too long for a test. Run them from the repository's root."""

import os

# Set before NumPy is loaded, as ``python -m entrenous`` does, so that the benchmarks measure the
# program as it really runs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
