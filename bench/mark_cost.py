"""Measure what marking copies costs: time, peak memory, and the ratio to encoding alone.

    python -m bench.mark_cost [--photo FILE] [--megapixels 12] [--copies 24]

The peer is Pillow. In the same run, it encodes the pixels of a marked copy as often as copies were
marked, with that copy's quantization tables, in one thread and in as many threads as marking has
workers. Processor time is given too, for machines that have other work. The last line is JSON.
"""

import argparse
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.identifiers import RecipientId
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.send.copies.worker_pool import pool_size, reuse_memory_of_copies

SCHEMA = "entrenous/bench-mark/1"


def measure(photo: Path | None, megapixels: float, copies: int) -> dict[str, Any]:
    """Mark ``copies`` copies, then encode the last one as many times; return the figures."""
    reuse_memory_of_copies()  # as the command `entrenous mark` does
    data = _photograph(photo, megapixels)
    cpu_s = _cpu_s()
    with tempfile.TemporaryDirectory() as folder:
        first_s, all_s, written = _mark(data, copies, Path(folder))
    mark_cpu_s, peak_mb = _cpu_s() - cpu_s, _peak_mb()
    with Image.open(io.BytesIO(written)) as image:
        image.load()
        workers = pool_size(image.width * image.height)
        cpu_s = _cpu_s()
        one_by_one_s, together_s = _encode(image, copies, workers)
        encode_cpu_s = (_cpu_s() - cpu_s) / 2
    return {
        "schema": SCHEMA,
        "pixels": image.width * image.height,
        "copies": copies,
        "workers": workers,
        "first_copy_s": round(first_s, 3),
        "all_copies_s": round(all_s, 3),
        "encode_one_by_one_s": round(one_by_one_s, 3),
        "encode_together_s": round(together_s, 3),
        "mark_over_encode": round(all_s / one_by_one_s, 2),
        "mark_over_encode_together": round(all_s / together_s, 2),
        "mark_cpu_over_encode_cpu": round(mark_cpu_s / encode_cpu_s, 2),
        "mark_cpu_s": round(mark_cpu_s, 3),
        "encode_cpu_s": round(encode_cpu_s, 3),
        "peak_mb": round(peak_mb),
    }


def _mark(data: bytes, copies: int, folder: Path) -> tuple[float, float, bytes]:
    """Mark a file; return the seconds to the first and to the last copy, and the last copy."""
    vault = SqlcipherVault(folder, Secret(bytes(32)))
    device = Device(
        SystemClock(),
        SystemRandomSource(),
        vault,
        VaultLedger(vault),
        HttpCourier(new_relay_client(), 1.0),
        decode_picture_untrusted,
    )
    to = [RecipientId(f"person {number}") for number in range(copies)]
    began_s, first_s, written = time.perf_counter(), 0.0, b""
    for _, file in mark_picture_copies(data, to, None, device):
        first_s = first_s or time.perf_counter() - began_s
        written = file.data
    all_s = time.perf_counter() - began_s
    vault.close()
    return first_s, all_s, written


def _encode(image: Any, copies: int, workers: int) -> tuple[float, float]:
    """Return the seconds to encode a picture ``copies`` times in one and in ``workers`` threads."""
    options = {"qtables": image.quantization, "subsampling": "4:2:0"}
    image = image.convert("RGB")

    def encode(_: int) -> int:
        with os.fdopen(os.memfd_create("peer"), "w+b") as file:
            image.save(file, "JPEG", **options)
            return file.tell()

    with ThreadPoolExecutor(workers) as crew:
        return (
            _seconds(lambda: list(map(encode, range(copies)))),
            _seconds(lambda: list(crew.map(encode, range(copies)))),
        )


def _seconds(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _photograph(photo: Path | None, megapixels: float) -> bytes:
    """Return a JPEG of ``megapixels``, 4 : 3, quality 92, made from ``photo``.

    Without ``photo``, it is made from scikit-image's picture "coffee".
    """
    if photo is None:
        image = Image.fromarray(np.asarray(skimage.data.coffee()))
    else:
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
    height_px = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height_px * 4 / 3), height_px)
    file = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
    return file.getvalue()


def _cpu_s() -> float:
    """Return the processor time of this process and of its decoder processes, which have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--copies", type=int, default=24)
    asked = parser.parse_args()
    figures = measure(asked.photo, asked.megapixels, asked.copies)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
