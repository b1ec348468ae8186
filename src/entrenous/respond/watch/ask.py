"""Request one watched address, and compare its pictures; none of them is stored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.base.picture import Picture
from entrenous.respond.watch.likeness import CaseHashes, is_picture, shows_case_picture
from entrenous.respond.watch.page_pictures import picture_urls
from entrenous.respond.watch.polite import (
    Fetched,
    NotOnTheWeb,
    PoliteWeb,
    RobotsForbid,
    SiteDidNotAnswer,
    WebAnswer,
    is_local_url,
    same_page,
)
from entrenous.respond.watch.states import (
    WatchCheck,
    Watched,
    WatchEvent,
    WatchReason,
    meaning_of_content,
    meaning_of_status,
    retry_after,
)

PICTURE_BYTES_MAX: Final = 8 * 1024 * 1024  # size of a file; a larger one is not compared
PICTURES_BYTES_MAX: Final = 48 * 1024 * 1024  # all pictures of one page together
CHECK_S_MAX: Final = 180.0  # after this many seconds, no further picture of a page is requested
_NOT_MODIFIED: Final = 304
_PAGE_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_FETCH_ERRORS: Final = (RobotsForbid, NotOnTheWeb, SiteDidNotAnswer)


@dataclass(frozen=True, slots=True)
class PageChecker:
    """The tools of one check: the web, the case's fingerprints, and a sandboxed decoder."""

    web: PoliteWeb
    case_hashes: CaseHashes
    read: Callable[[bytes], Picture]

    def check(self, record: Watched, where: str, now: datetime) -> WatchCheck:
        """Request a sighting's address (``where``). The request is conditional if the picture was
        found there before.

        Returns the outcome. Whatever the site answers, no error is raised.
        """
        condition_headers = _conditional_headers(record, self.case_hashes)
        try:
            fetched = self.web.fetch(
                where, PICTURE_BYTES_MAX, condition_headers, at_home=is_local_url(where)
            )
        except RobotsForbid:
            return WatchCheck(WatchEvent.UNCLEAR, WatchReason.ROBOTS)
        except NotOnTheWeb:
            return WatchCheck(WatchEvent.UNCLEAR, WatchReason.NOT_PUBLIC)
        except SiteDidNotAnswer:
            return WatchCheck(WatchEvent.SILENT, WatchReason.SILENT)
        if condition_headers and fetched.answer.status == _NOT_MODIFIED:
            return self._check_unchanged_page(record, where)
        meaning = meaning_of_status(fetched.answer.status)
        if meaning is not None:
            wait = retry_after(fetched.answer.headers.get("retry-after", ""), now)
            return WatchCheck(*meaning, wait=wait)
        return self._check_content(fetched, where)

    def _check_unchanged_page(self, record: Watched, where: str) -> WatchCheck:
        """Request the picture of an unchanged page, because the picture alone may be gone."""
        kept = (record.etag, record.last_modified, record.picture_url)
        if not self.case_hashes.hashes:
            return WatchCheck(WatchEvent.SEEN, WatchReason.ANSWERS, *kept)
        if record.picture_url == where or self._shows_case_picture(record.picture_url, where):
            return WatchCheck(WatchEvent.SEEN, WatchReason.PICTURE, *kept)
        return WatchCheck(WatchEvent.UNCLEAR, WatchReason.NO_PICTURE)

    def _check_content(self, fetched: Fetched, where: str) -> WatchCheck:
        answer, moved = fetched.answer, not same_page(fetched.url, where)
        readable = not answer.is_encoded and (_is_page(answer) or is_picture(answer.body))
        picture = self._find_picture(answer, fetched.url, where) if readable else None
        found = None if not self.case_hashes.hashes else picture is not None
        event, why = meaning_of_content(shows_picture=found, readable=readable, moved=moved)
        if event is not WatchEvent.SEEN:
            return WatchCheck(event, why)
        headers = answer.headers
        return WatchCheck(
            event, why, headers.get("etag", ""), headers.get("last-modified", ""), picture or ""
        )

    def _find_picture(self, answer: WebAnswer, url: str, where: str) -> str | None:
        """Return the address of the case's picture, if the answer is that picture or a page showing
        it.
        """
        if is_picture(answer.body):
            return where if self._is_case_picture(answer) else None
        if not self.case_hashes.hashes:
            return None
        return next(self._find_picture_on_page(answer, url, where), None)

    def _find_picture_on_page(self, page: WebAnswer, url: str, where: str) -> Iterator[str]:
        start_s, left = self.web.now_s(), PICTURES_BYTES_MAX
        for picture in picture_urls(page.body, url):
            if left <= 0 or self.web.now_s() - start_s > CHECK_S_MAX:
                return
            answer = self._fetch_picture(picture, where)
            if answer is not None:
                left -= len(answer.body)
                if self._is_case_picture(answer):
                    yield picture

    def _shows_case_picture(self, picture: str, where: str) -> bool:
        answer = self._fetch_picture(picture, where)
        return answer is not None and self._is_case_picture(answer)

    def _fetch_picture(self, picture: str, where: str) -> WebAnswer | None:
        """Return the answer from a picture's address, or None. Addresses on this machine are
        allowed only if the sighting's address, ``where``, is one too.
        """
        try:
            return self.web.fetch(picture, PICTURE_BYTES_MAX, at_home=is_local_url(where)).answer
        except _FETCH_ERRORS:
            return None

    def _is_case_picture(self, answer: WebAnswer) -> bool:
        if meaning_of_status(answer.status) is not None or answer.is_cut or answer.is_encoded:
            return False
        return shows_case_picture(answer.body, self.case_hashes, self.read)


def _conditional_headers(record: Watched, references: CaseHashes) -> dict[str, str]:
    """Return the headers of a conditional request (RFC 9110, section 13.1), or none.

    There are none if the case has a picture to compare with and the last check found no picture.
    """
    if references.hashes and not record.picture_url:
        return {}
    condition_headers = {"If-None-Match": record.etag, "If-Modified-Since": record.last_modified}
    return {name: value for name, value in condition_headers.items() if value}


def _is_page(answer: WebAnswer) -> bool:
    return answer.content_type in _PAGE_TYPES
