"""Capture a public page as evidence of level A2 (docs/spec/case.md): what the site sent, byte for
byte.

The person requests one page at a time, as in a browser. So robots.txt, which is for programs that
visit pages by themselves, is not consulted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.environment import Clock
from entrenous.base.errors import Refused
from entrenous.base.program import this_program_version
from entrenous.device.device import Device
from entrenous.respond.capture.web_archive import Capture, HttpExchange, write_wacz
from entrenous.respond.case_file import CUSTODY_ACTOR, find_open_case, find_sighting
from entrenous.respond.nouns import Case, EvidenceLevel, SightingReach
from entrenous.respond.open_case import store_evidence_item
from entrenous.respond.watch.page_pictures import picture_urls
from entrenous.respond.watch.polite_web import (
    FetchedPage,
    NotOnTheWeb,
    PoliteWeb,
    RecordedTransfer,
    RobotsForbid,
    SiteDidNotAnswer,
    WebAccess,
    WebAnswer,
    is_loopback_url,
)
from entrenous.respond.watch.records import host_and_port_of
from entrenous.wire.encodings import write_time

CAPTURE_SCHEMA: Final = "entrenous/capture/1"
CAPTURED_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
CAPTURE_BYTES_MAX: Final = 64 * 1024 * 1024
PICTURES_TIME_MAX_S: Final = 120.0  # after this many seconds, no further picture is requested
CAPTURE_HOST_PAUSE_S: Final = 0.5  # seconds between two requests to one host


class NotCapturable(Refused):
    """
    Sighting {number} of case {name} is in a chat or another place without a web address, so it
    cannot be captured from here. Keep a screenshot of it instead: entrenous case add {name} FILE
    """


@dataclass(slots=True)
class RecordingWeb:
    """A :class:`WebAccess` that keeps every exchange; ``web`` must record the transferred bytes."""

    web: WebAccess
    clock: Clock
    exchanges: list[HttpExchange] = field(default_factory=list)

    def get(
        self, url: str, headers: Mapping[str, str], bytes_max: int, *, allow_loopback: bool
    ) -> WebAnswer:
        """Call :meth:`WebAccess.get` of ``web``, and keep the exchange."""
        at = self.clock.now()
        answer = self.web.get(url, headers, bytes_max, allow_loopback=allow_loopback)
        self.exchanges.append(
            HttpExchange(at, url, answer, answer.wire or RecordedTransfer(b"", b""))
        )
        return answer


@dataclass(frozen=True, slots=True)
class CaptureEnvironment:
    """Settings of a capture: access to the web, functions for time and pauses, and the offset of
    local time from UTC.
    """

    web: WebAccess
    now_s: Callable[[], float]
    sleep_s: Callable[[float], None]
    local_offset: timedelta
    by_proxy: bool = False


def capture_page(
    name: str, number: int, why: str, environment: CaptureEnvironment, device: Device
) -> Case:
    """Capture the page of a sighting with its pictures, and store it in the case as level A2.

    Args:
        name: the case.
        number: the sighting, which has a web address.
        why: the reason for the capture, in one line; it is stored in the capture.
        environment: the web and the settings of the capture.
        device: its vault stores the capture, encrypted.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry, NotCapturable: nothing was requested.
        SiteDidNotAnswer, NotOnTheWeb: there was no page; nothing was stored.
    """
    seen = find_sighting(find_open_case(name, device), number)
    if seen.reach is not SightingReach.PUBLIC or not host_and_port_of(seen.where):
        raise NotCapturable(name=name, number=number)
    recording = RecordingWeb(environment.web, device.clock)
    polite = PoliteWeb(
        recording,
        environment.now_s,
        environment.sleep_s,
        heeds_robots=False,
        pause_s=CAPTURE_HOST_PAUSE_S,
    )
    started = device.clock.now()
    page = polite.fetch(
        seen.where, CAPTURED_FILE_BYTES_MAX, allow_loopback=is_loopback_url(seen.where)
    )
    missing = _fetch_pictures_and_count_missing(
        polite, page, allow_loopback=is_loopback_url(seen.where)
    )
    facts = {
        "schema": CAPTURE_SCHEMA,
        "url_typed": seen.where,
        "url_final": page.url,
        "started_at": write_time(started),
        "ended_at": write_time(device.clock.now()),
        "local_time": _format_local_time(started, environment.local_offset),
        "tool": str(this_program_version()),
        "who": CUSTODY_ACTOR,
        "why": why,
        "by_proxy": environment.by_proxy,
        "pictures_missing": missing,
        "whole": not any(one.answer.is_cut for one in recording.exchanges),
    }
    title = f"Capture of sighting {number}"
    capture = Capture(title, str(this_program_version()), page.url, recording.exchanges, facts)
    data = write_wacz(capture, device.clock.now(), device.random_source)
    what = f"capture of sighting {number}, HTTP status {page.answer.status}"
    return store_evidence_item(name, data, (EvidenceLevel.A2, what, number), device)


def _fetch_pictures_and_count_missing(
    polite: PoliteWeb, page: FetchedPage, *, allow_loopback: bool
) -> int:
    """Fetch the pictures that a page shows, within limits. Return how many were not fetched."""
    start_s, missing = polite.now_s(), 0
    for url in picture_urls(page.answer.body, page.url) if _is_html(page.answer) else ():
        left = CAPTURE_BYTES_MAX - polite.received_bytes
        if left <= 0 or polite.now_s() - start_s > PICTURES_TIME_MAX_S:
            missing += 1
            continue
        try:
            bytes_max = min(CAPTURED_FILE_BYTES_MAX, left)
            polite.fetch(url, bytes_max, allow_loopback=allow_loopback)
        except (RobotsForbid, NotOnTheWeb, SiteDidNotAnswer):
            missing += 1
    return missing


def _is_html(answer: WebAnswer) -> bool:
    return "html" in answer.content_type and not answer.is_encoded


def _format_local_time(at: datetime, offset: timedelta) -> str:
    """Return a time as the person's own clock showed it, with its offset from UTC."""
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return f"{at + offset:%Y-%m-%dT%H:%M:%S}{sign}{hours:02d}:{rest:02d}"
