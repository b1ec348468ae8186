"""Metrics for Prometheus: responses by kind, their durations, and what is stored."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.base.errors import EntrenousError
from entrenous.base.program import this_program_version
from entrenous.carry.check_setup import RelayStats, collect_stats
from entrenous.carry.relay import Relay

_DURATION_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
# Seconds for which a count is used, since counting the rows of a large relay takes long.
_ROW_COUNTS_VALID_S: Final = 60
#: The help text of each gauge, by the field of RelayStats that it shows.
_GAUGE_HELP_TEXTS: Final[Mapping[str, str]] = {
    "mailboxes": "Mailboxes.",
    "letters": "Sealed letters that wait to be fetched.",
    "shares": "Shares that may still be released.",
    "envelopes": "Envelopes, including tombstones.",
    "tokens": "Send tokens.",
    "blobs": "Blobs.",
    "blob_bytes": "Bytes of all blobs.",
    "uploads": "Incomplete blobs.",
    "free_bytes": "Free bytes on the disk of the blobs.",
    "swept_at": "Hour in which a sweep last began with a trusted clock, in seconds since 1970.",
}


class RelayMetrics:
    """One relay's metrics; :meth:`count_response` is called for each response."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        about = asdict(this_program_version())
        Info("entrenous_build", "Which program answers.", registry=self.registry).info(about)
        self._answers = Counter(
            "entrenous_answers", "Answers.", ("event", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            *("entrenous_answer_seconds", "How long answers took.", ("event",)),
            registry=self.registry,
            buckets=_DURATION_BUCKETS_S,
        )
        self._held = {
            name: Gauge(f"entrenous_{name}", words, registry=self.registry)
            for name, words in _GAUGE_HELP_TEXTS.items()
        }
        for gauge in self._held.values():
            gauge.set(math.nan)  # not 0, which would mean that the disk is full
        self._counted_at = -math.inf

    def count_response(self, event: str, status: int, took_s: float) -> None:
        self._answers.labels(event, str(status)).inc()
        self._seconds.labels(event).observe(took_s)

    async def prometheus_text(self, relay: Relay) -> bytes:
        """Return all metrics in Prometheus' text format.

        Row counts are at most a minute old, or, while the database fails, from the last time that
        it answered.
        """
        present = asyncio.get_running_loop().time()
        if present - self._counted_at >= _ROW_COUNTS_VALID_S:
            self._counted_at = present
            with suppress(EntrenousError):
                self._set_gauges(await collect_stats(relay))
        return generate_latest(self.registry)

    def _set_gauges(self, stats: RelayStats) -> None:
        for name, gauge in self._held.items():
            gauge.set(_gauge_value(getattr(stats, name)))


def _gauge_value(value: float | datetime | None) -> float:
    if value is None:
        return math.nan
    return value.timestamp() if isinstance(value, datetime) else value


def metrics_app(meters: RelayMetrics, relay: Relay) -> Starlette:
    """Serve ``GET /metrics`` and nothing else."""

    async def show_metrics(_: Request) -> Response:
        return Response(await meters.prometheus_text(relay), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(routes=[Route("/metrics", show_metrics)])
    app.router.redirect_slashes = False
    return app
