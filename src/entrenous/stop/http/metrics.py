"""Metrics for Prometheus (docs/spec/gate.md, 10)."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrenous.base.identifiers import BankName
from entrenous.base.program import this_program_version
from entrenous.stop.nouns import Bank, BankUnreachable, GateFigures, IndexSize, round_down_to_even
from entrenous.stop.upload_record import Decision, Review, ReviewState

_ANSWER_TIME_BUCKETS_S: Final = (
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
    60.0,
)
_ANSWERS_KEPT_MAX: Final = (
    1_000  # the quantiles are computed from this many of the newest answers to uploads
)
_QUANTILES: Final = (0.5, 0.95, 0.99)
# Seconds for which a count is used, since counting rows takes a while in a large database.
_COUNT_VALID_S: Final = 60.0
UPLOAD_REQUEST_KIND: Final = "upload"
METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
FiguresAndIndexSize = tuple[GateFigures, IndexSize | None]


class GateMetrics:
    """The metrics of one gate process; ``count_rows`` counts the rows of the database and the
    index.
    """

    def __init__(self, count_rows: Callable[[], FiguresAndIndexSize] | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        about = asdict(this_program_version())
        Info("entrenous_gate_build", "Which program answers.", registry=self.registry).info(about)
        self._uploads = self._make_counter("uploads", "Uploads that were answered.", "decision")
        self._shadow = self._make_counter(
            *("shadow", "Uploads that banks in shadow would have stopped."),
            *("bank", "decision", "distance"),
        )
        self._reviews = self._make_counter("reviews", "Cases that a person decided.", "decision")
        self._answers = self._make_counter("answers", "Answers.", "event", "status")
        self._seconds = Histogram(
            *("entrenous_gate_answer_seconds", "How long answers took.", ("event",)),
            registry=self.registry,
            buckets=_ANSWER_TIME_BUCKETS_S,
        )
        self._newest: deque[float] = deque(maxlen=_ANSWERS_KEPT_MAX)
        self.registry.register(_UploadTimeQuantiles(self._newest))
        if count_rows is not None:
            self.registry.register(_DatabaseCollector(count_rows))

    def count_answer(self, event: str, status: int, took_s: float) -> None:
        self._answers.labels(event, str(status)).inc()
        self._seconds.labels(event).observe(took_s)
        if event == UPLOAD_REQUEST_KIND and status == 200:
            self._newest.append(took_s)

    def count_decision(self, decision: Decision, banks: Callable[[], tuple[Bank, ...]]) -> None:
        """Count one decision.

        ``banks`` is called only if a bank in shadow mode would have held or refused the upload.
        """
        self._uploads.labels(decision.outcome.value).inc()
        if decision.would is None:
            return
        dark = {bank.name for bank in banks() if bank.shadow}
        nearest: dict[BankName, int] = {}
        for match in decision.matches:
            if match.bank in dark:
                least = nearest.get(match.bank, match.distance)
                nearest[match.bank] = min(least, match.distance)
        for bank, distance in nearest.items():
            self._shadow.labels(bank, decision.would.value, str(round_down_to_even(distance))).inc()

    def count_review(self, review: Review, state: ReviewState) -> None:
        """Count a reviewer's decision, and the cases that were decided with it."""
        self._reviews.labels(state.value).inc(1 + len(review.also))

    def prometheus_text(self) -> bytes:
        """Return all metrics in Prometheus' text format; raises BankUnreachable."""
        return generate_latest(self.registry)

    def _make_counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"entrenous_gate_{name}", help_text, labels, registry=self.registry)


class MetricsMiddleware:
    """ASGI middleware that counts each answer in ``meters`` once its last byte has been sent."""

    def __init__(self, app: ASGIApp, meters: GateMetrics) -> None:
        self.app, self.meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, is_answered = time.perf_counter(), 500, False
        event = request_kind(scope["method"], scope["path"])

        async def send_and_count(message: Message) -> None:
            nonlocal status, is_answered
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                is_answered = True
                self.meters.count_answer(event, status, time.perf_counter() - began)

        try:
            await self.app(scope, receive, send_and_count)
        except Exception:  # outer middleware answers with 500, unless the answer was sent already
            if not is_answered:
                self.meters.count_answer(event, 500, time.perf_counter() - began)
            raise


def request_kind(method: str, path: str) -> str:
    """Return the kind of request, without any id in it."""
    match path.strip("/").split("/"):
        case ["v1", ("uploads" | "claims" | "reviews" | "status" | "metrics") as what]:
            return UPLOAD_REQUEST_KIND if what == "uploads" else what
        case ["v1", "claims", _]:
            return "withdraw" if method == "DELETE" else "claim"
        case ["v1", "reviews", _]:
            return "decide"
        case [
            "v1",
            "uploads" | "claims" | "reviews",
            _,
            ("appeal" | "opinions" | "upload" | "view") as what,
        ]:
            return "held upload" if what == "upload" else what
        case [("hma" | "exchange") as mounted, *_]:
            return mounted
        case _:
            return "other"


class _UploadTimeQuantiles(Collector):
    """Quantiles of the newest answers to uploads."""

    def __init__(self, newest: deque[float]) -> None:
        self._newest = newest

    def collect(self) -> Iterator[Metric]:
        name, every = "entrenous_gate_upload_seconds", sorted(self._newest)
        metric = SummaryMetricFamily(name, "The newest 1,000 answers to uploads.")
        for quantile in _QUANTILES:
            at = math.ceil(quantile * len(every)) - 1
            metric.add_sample(name, {"quantile": str(quantile)}, every[at] if every else math.nan)
        yield metric


class _DatabaseCollector(Collector):
    """Collects the counts of database and index; one thread refreshes them at most once a
    minute.
    """

    def __init__(self, count_rows: Callable[[], FiguresAndIndexSize]) -> None:
        self._count_rows, self._lock = count_rows, threading.Lock()
        self._last_counts: FiguresAndIndexSize | None = None
        self._counted_at = -math.inf

    def describe(self) -> Iterator[Metric]:
        """Describe nothing, so that registering the collector does not query the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if self._last_counts is None or time.monotonic() - self._counted_at >= _COUNT_VALID_S:
                try:
                    self._last_counts, self._counted_at = self._count_rows(), time.monotonic()
                except BankUnreachable:
                    return  # the metrics of this process are still served
            figures, index = self._last_counts
        due = figures.due
        yield _claim_gauges(figures)
        yield _make_gauge("hashes", "Distinct hashes.", figures.hashes)
        yield _make_gauge("reviews_waiting", "Items that wait for a person.", figures.waiting)
        waited_s = figures.oldest_wait.total_seconds()
        yield _make_gauge("review_oldest_seconds", "How long the oldest item has waited.", waited_s)
        yield _median_review_metric(figures)
        yield _make_gauge("slow_looks_due", "Uploads that wait for a slow scan.", due.slow_looks)
        skipped = due.slow_looks_skipped
        yield _make_gauge(
            "slow_looks_skipped", "Skipped slow scans of uploads of the last 24 hours.", skipped
        )
        yield _make_gauge("look_backs_due", "Claims that wait for a look-back.", due.look_backs)
        if index is not None:
            yield from _index_gauges(figures, index)


def _claim_gauges(figures: GateFigures) -> Metric:
    claims = GaugeMetricFamily("entrenous_gate_claims", "Claims.", labels=("kind", "state"))
    for labels, count in figures.claims.items():
        claims.add_metric(labels, count)
    return claims


def _median_review_metric(figures: GateFigures) -> Metric:
    name = "entrenous_gate_review_seconds"
    metric = SummaryMetricFamily(name, "From the beginning of the wait to a person's decision.")
    value = math.nan if figures.review_s is None else figures.review_s
    metric.add_sample(name, {"quantile": "0.5"}, value)
    return metric


def _index_gauges(figures: GateFigures, index: IndexSize) -> Iterator[Metric]:
    hashes = GaugeMetricFamily(
        "entrenous_gate_index_hashes", "Hashes in the index's file or later.", labels=("where",)
    )
    hashes.add_metric(("file",), index.in_file)
    hashes.add_metric(("later",), index.later)
    yield hashes
    yield _make_gauge("index_bytes", "Bytes of the index's file.", index.size_bytes)
    age_s = max(0.0, (figures.at - index.written_at).total_seconds())
    yield _make_gauge("index_age_seconds", "How old the index's file is.", age_s)


def _make_gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"entrenous_gate_{name}", help_text, value=value)
