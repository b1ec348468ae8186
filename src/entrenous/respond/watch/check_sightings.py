"""Check the watched sightings that are due: request their addresses, compare the pictures found
there with the case's, and record each outcome.

No picture from the web is stored. A check is not recorded in the custody chain; the first reading
of an item and finding the picture again are.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.base.picture import DecoderDidNotStart, Picture
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case, find_case, find_sighting
from entrenous.respond.nouns import AgeAnswer, Case, CaseState, Reappearance
from entrenous.respond.reappearance import find_reappearance
from entrenous.respond.watch.case_hashes import (
    CaseHashes,
    has_picture_format,
    hash_case_pictures,
    shows_case_picture,
)
from entrenous.respond.watch.page_pictures import picture_urls
from entrenous.respond.watch.polite_web import (
    FetchedPage,
    NotOnTheWeb,
    PoliteWeb,
    RobotsForbid,
    SiteDidNotAnswer,
    WebAnswer,
    is_loopback_url,
    is_same_page,
)
from entrenous.respond.watch.records import (
    WatchingNotAgreed,
    correct_times_in_future,
    due_sightings,
    forget_watching,
    has_agreed_to_watching,
    host_and_port_of,
    host_postponed_until,
    load_watched,
    postpone_host,
    save_watched,
)
from entrenous.respond.watch.states import (
    CHECK_INTERVAL,
    WatchCheckOutcome,
    WatchedSighting,
    WatchEvent,
    WatchReason,
    meaning_of_content,
    meaning_of_status,
    parse_retry_after,
    watched_after_check,
)

CHECKS_PER_RUN_MAX: Final = 50  # number of checks in one run, during which the vault is unlocked
# `case watch --once` begins no check after this time, because the person cannot open the vault
# while the command runs
RUN_TIME_MAX_S: Final = 60.0
_RANDOM_BYTES: Final = 2
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024  # larger pictures are not compared
PAGE_PICTURES_BYTES_MAX: Final = 48 * 1024 * 1024  # all answers for the pictures of one page
PAGE_PICTURES_TIME_MAX_S: Final = (
    180.0  # after this many seconds, no further picture of a page is requested
)
_NOT_MODIFIED_STATUS: Final = 304
_PAGE_MEDIA_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_FETCH_ERRORS: Final = (RobotsForbid, NotOnTheWeb, SiteDidNotAnswer)


@dataclass(frozen=True, slots=True)
class CheckedSighting:
    """A checked sighting; ``is_back`` is true if the picture was found again."""

    record: WatchedSighting
    is_back: bool


def check_due_sightings(
    device: Device,
    web: PoliteWeb,
    *,
    by_proxy: bool,
    name: str | None = None,
    time_max_s: float = math.inf,
) -> Iterator[CheckedSighting]:
    """Check up to 50 due sightings, the longest overdue first. If ``name`` is given, check only
    those of that case. After ``time_max_s`` no further check begins; what is left stays due.

    Closed cases, and cases in which somebody was under 18, are skipped.

    Raises WatchingNotAgreed before the first request.
    """
    now, left, end_s = device.clock.now(), CHECKS_PER_RUN_MAX, web.now_s() + time_max_s
    correct_times_in_future(now, device)
    for record in due_sightings(now, device, name):
        if left == 0:
            return
        if not has_agreed_to_watching(device, by_proxy=by_proxy):
            raise WatchingNotAgreed(name=record.case, number=record.sighting)
        case = _load_case_or_defer_check(record, device)
        if case is not None:
            left -= 1
            yield _check_sighting(record, case, device, web)
            if web.now_s() >= end_s:
                return


def _load_case_or_defer_check(record: WatchedSighting, device: Device) -> Case | None:
    """Return the case of a watched sighting; None if the sighting is not to be checked now, or is
    never to be checked again.
    """
    now = device.clock.now()
    with device.vault.transaction():
        try:
            case = find_case(record.case, device)
            host = host_and_port_of(find_sighting(case, record.sighting).where)
        except NotFound:
            forget_watching(record.case, device)
            return None
        if case.age is not AgeAnswer.ADULTS:
            forget_watching(record.case, device)
            return None
        postponed_until = host_postponed_until(host, device)
        due_at = now + CHECK_INTERVAL if case.state is CaseState.CLOSED else postponed_until or now
        if due_at > now:
            save_watched(replace(record, due_at=due_at), device)
            return None
    return case


def _check_sighting(
    record: WatchedSighting, case: Case, device: Device, web: PoliteWeb
) -> CheckedSighting:
    where = find_sighting(case, record.sighting).where
    try:
        checker = PageChecker(web, hash_case_pictures(case, device), device.read_picture)
        check = checker.check(record, where, device.clock.now())
    except DecoderDidNotStart:  # this says nothing about the page, and other sightings are checked
        check = WatchCheckOutcome(WatchEvent.UNCLEAR, WatchReason.ODD)
    return _store_outcome(record, check, host_and_port_of(where), device)


def _store_outcome(
    record: WatchedSighting, check: WatchCheckOutcome, host: str, device: Device
) -> CheckedSighting:
    """Store the outcome, unless watching was switched off in the meantime."""
    now = device.clock.now()
    after = watched_after_check(record, check, now, device.random_source.token(_RANDOM_BYTES))
    with device.vault.transaction():
        if load_watched(record.case, record.sighting, device) is None:
            return CheckedSighting(after, is_back=False)
        postpone_host(host, after.due_at if after.failures else None, device)
        save_watched(after, device)
        reappearance = find_reappearance(find_case(record.case, device), record, check, now)
        if reappearance is not None:
            _record_reappearance(reappearance, record.case, device)
    return CheckedSighting(after, reappearance is not None)


def _record_reappearance(reappearance: Reappearance, name: str, device: Device) -> None:
    def append_reappearance(case: Case) -> Case:
        return replace(case, returned=(*case.returned, reappearance))

    edit_case(name, device, append_reappearance, f"sighting {reappearance.sighting} is there again")


@dataclass(frozen=True, slots=True)
class PageChecker:
    """The tools of one check: the web, the case's fingerprints, and a sandboxed decoder."""

    web: PoliteWeb
    case_hashes: CaseHashes
    read: Callable[[bytes], Picture]

    def check(self, record: WatchedSighting, where: str, now: datetime) -> WatchCheckOutcome:
        """Request a sighting's address (``where``), and return the outcome.

        The request is conditional if the picture was found there at the last check, or if the case
        has no picture to compare. Raises only DecoderDidNotStart, whatever the site answers.
        """
        condition_headers = _conditional_headers(record, self.case_hashes)
        try:
            fetched = self.web.fetch(
                where,
                ANSWER_BYTES_MAX,
                condition_headers,
                allow_loopback=is_loopback_url(where),
            )
        except RobotsForbid:
            return WatchCheckOutcome(WatchEvent.UNCLEAR, WatchReason.ROBOTS)
        except NotOnTheWeb:
            return WatchCheckOutcome(WatchEvent.UNCLEAR, WatchReason.NOT_PUBLIC)
        except SiteDidNotAnswer as error:  # robots.txt may say for how long to wait
            wait = parse_retry_after(str(error.facts.get("retry_after", "")), now)
            return WatchCheckOutcome(WatchEvent.SILENT, WatchReason.SILENT, wait=wait)
        if condition_headers and fetched.answer.status == _NOT_MODIFIED_STATUS:
            return self._check_unchanged_page(record, where)
        meaning = meaning_of_status(fetched.answer.status)
        if meaning is not None:
            wait = parse_retry_after(fetched.answer.headers.get("retry-after", ""), now)
            return WatchCheckOutcome(*meaning, wait=wait)
        return self._check_content(fetched, where)

    def _check_unchanged_page(self, record: WatchedSighting, where: str) -> WatchCheckOutcome:
        """Request the picture of an unchanged page, because the picture alone may be gone."""
        kept = (record.etag, record.last_modified, record.picture_url)
        if not self.case_hashes.hashes:
            return WatchCheckOutcome(WatchEvent.SEEN, WatchReason.ANSWERS, *kept)
        if record.picture_url == where or self._is_case_picture_at(record.picture_url, where):
            return WatchCheckOutcome(WatchEvent.SEEN, WatchReason.PICTURE, *kept)
        return WatchCheckOutcome(WatchEvent.UNCLEAR, WatchReason.NO_PICTURE)

    def _check_content(self, fetched: FetchedPage, where: str) -> WatchCheckOutcome:
        answer, moved = fetched.answer, not is_same_page(fetched.url, where)
        readable = not answer.is_encoded and (_is_page(answer) or has_picture_format(answer.body))
        picture = self._find_picture_url(answer, fetched.url, where) if readable else None
        found = None if not self.case_hashes.hashes else picture is not None
        event, why = meaning_of_content(shows_picture=found, readable=readable, moved=moved)
        if event is not WatchEvent.SEEN:
            return WatchCheckOutcome(event, why)
        headers = answer.headers
        return WatchCheckOutcome(
            event, why, headers.get("etag", ""), headers.get("last-modified", ""), picture or ""
        )

    def _find_picture_url(self, answer: WebAnswer, url: str, where: str) -> str | None:
        """Return the address of the case's picture, if the answer is that picture or a page showing
        it.
        """
        if has_picture_format(answer.body):
            return where if self._is_case_picture(answer) else None
        if not self.case_hashes.hashes:
            return None
        return next(self._find_picture_urls_on_page(answer, url, where), None)

    def _find_picture_urls_on_page(self, page: WebAnswer, url: str, where: str) -> Iterator[str]:
        end_s = self.web.now_s() + PAGE_PICTURES_TIME_MAX_S
        end_bytes = self.web.received_bytes + PAGE_PICTURES_BYTES_MAX
        for picture in picture_urls(page.body, url):
            left = end_bytes - self.web.received_bytes
            if left <= 0 or self.web.now_s() > end_s:
                return
            if self._is_case_picture_at(picture, where, left):
                yield picture

    def _is_case_picture_at(
        self, picture_url: str, where: str, bytes_max: int = ANSWER_BYTES_MAX
    ) -> bool:
        answer = self._fetch_picture(picture_url, where, min(bytes_max, ANSWER_BYTES_MAX))
        return answer is not None and self._is_case_picture(answer)

    def _fetch_picture(self, picture_url: str, where: str, bytes_max: int) -> WebAnswer | None:
        """Return the answer from a picture's address, or None. Addresses on this machine are
        allowed only if the sighting's address, ``where``, is on this machine too.
        """
        try:
            return self.web.fetch(
                picture_url, bytes_max, allow_loopback=is_loopback_url(where)
            ).answer
        except _FETCH_ERRORS:
            return None

    def _is_case_picture(self, answer: WebAnswer) -> bool:
        if meaning_of_status(answer.status) is not None or answer.is_cut or answer.is_encoded:
            return False
        return shows_case_picture(answer.body, self.case_hashes, self.read)


def _conditional_headers(record: WatchedSighting, references: CaseHashes) -> dict[str, str]:
    """Return the headers of a conditional request (RFC 9110, section 13.1), or none.

    There are none if the case has a picture to compare with and the last check found no picture.
    """
    if references.hashes and not record.picture_url:
        return {}
    condition_headers = {"If-None-Match": record.etag, "If-Modified-Since": record.last_modified}
    return {name: value for name, value in condition_headers.items() if value}


def _is_page(answer: WebAnswer) -> bool:
    return answer.content_type in _PAGE_MEDIA_TYPES
