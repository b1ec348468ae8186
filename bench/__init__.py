"""Programs that measure what a test cannot hold in seconds. Run them from the repository's root."""

import os

# As ``python -m entrenous`` does, before NumPy is loaded: else what is measured is another program.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
