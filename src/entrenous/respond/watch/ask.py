"""Request one watched address, and compare its pictures; none of them is stored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.base.picture import Picture
from entrenous.respond.watch.likeness import Looks, is_picture, matches
from entrenous.respond.watch.page_pictures import picture_urls
from entrenous.respond.watch.polite import (
    AsksNotTo,
    Fetched,
    NotOnTheWeb,
    PageSilent,
    PoliteWeb,
    WebAnswer,
    is_at_home,
    same_page,
)
from entrenous.respond.watch.states import (
    Look,
    Watched,
    WatchEvent,
    Why,
    meaning_of_content,
    meaning_of_status,
    retry_after,
)

PICTURE_BYTES: Final = 8 * 1024 * 1024  # a larger file is not compared
PICTURES_BYTES: Final = 48 * 1024 * 1024  # on one page
LOOK_S: Final = 180.0  # after this time no further picture of a page is requested
_NOT_MODIFIED: Final = 304
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_HINDRANCES: Final = (AsksNotTo, NotOnTheWeb, PageSilent)


@dataclass(frozen=True, slots=True)
class Asker:
    """The tools of one check: the web, the case's fingerprints, and a sandboxed decoder."""

    web: PoliteWeb
    looks: Looks
    read: Callable[[bytes], Picture]

    def ask(self, record: Watched, where: str, now: datetime) -> Look:
        """Request a sighting's address (``where``), conditionally if the picture was found before.

        Returns: the outcome; a site's behaviour never raises an error.
        """
        asked = _conditions(record, self.looks)
        try:
            fetched = self.web.fetch(where, PICTURE_BYTES, asked, at_home=is_at_home(where))
        except AsksNotTo:
            return Look(WatchEvent.UNCLEAR, Why.ROBOTS)
        except NotOnTheWeb:
            return Look(WatchEvent.UNCLEAR, Why.NOT_PUBLIC)
        except PageSilent:
            return Look(WatchEvent.SILENT, Why.SILENT)
        if asked and fetched.answer.status == _NOT_MODIFIED:
            return self._unchanged(record, where)
        said = meaning_of_status(fetched.answer.status)
        if said is not None:
            wait = retry_after(fetched.answer.headers.get("retry-after", ""), now)
            return Look(*said, wait=wait)
        return self._content(fetched, where)

    def _unchanged(self, record: Watched, where: str) -> Look:
        """Request the picture of an unchanged page: it may be gone although the page is not."""
        kept = (record.etag, record.last_modified, record.picture_url)
        if not self.looks.hashes:
            return Look(WatchEvent.SEEN, Why.ANSWERS, *kept)
        if record.picture_url == where or self._shows(record.picture_url, where):
            return Look(WatchEvent.SEEN, Why.PICTURE, *kept)
        return Look(WatchEvent.UNCLEAR, Why.NO_PICTURE)

    def _content(self, fetched: Fetched, where: str) -> Look:
        answer, moved = fetched.answer, not same_page(fetched.url, where)
        readable = not answer.is_encoded and (_is_page(answer) or is_picture(answer.body))
        picture = self._picture(answer, fetched.url, where) if readable else None
        found = None if not self.looks.hashes else picture is not None
        event, why = meaning_of_content(found=found, readable=readable, moved=moved)
        if event is not WatchEvent.SEEN:
            return Look(event, why)
        headers = answer.headers
        return Look(
            event, why, headers.get("etag", ""), headers.get("last-modified", ""), picture or ""
        )

    def _picture(self, answer: WebAnswer, url: str, where: str) -> str | None:
        """Return the address of the case's picture, if the answer is that picture or a page showing
        it.
        """
        if is_picture(answer.body):
            return where if self._is_it(answer) else None
        if not self.looks.hashes:
            return None
        return next(self._found_on(answer, url, where), None)

    def _found_on(self, page: WebAnswer, url: str, where: str) -> Iterator[str]:
        start_s, left = self.web.now_s(), PICTURES_BYTES
        for picture in picture_urls(page.body, url):
            if left <= 0 or self.web.now_s() - start_s > LOOK_S:
                return
            answer = self._get(picture, where)
            if answer is not None:
                left -= len(answer.body)
                if self._is_it(answer):
                    yield picture

    def _shows(self, picture: str, where: str) -> bool:
        answer = self._get(picture, where)
        return answer is not None and self._is_it(answer)

    def _get(self, picture: str, where: str) -> WebAnswer | None:
        """Return the answer of a picture's address, or None; ``where`` decides what is allowed."""
        try:
            return self.web.fetch(picture, PICTURE_BYTES, at_home=is_at_home(where)).answer
        except _HINDRANCES:
            return None

    def _is_it(self, answer: WebAnswer) -> bool:
        if meaning_of_status(answer.status) is not None or answer.is_cut or answer.is_encoded:
            return False
        return matches(answer.body, self.looks, self.read)


def _conditions(record: Watched, looks: Looks) -> dict[str, str]:
    """Return the headers of a conditional request (RFC 9110, section 13.1), or none.

    None if there is now a picture to compare and the last check found none.
    """
    if looks.hashes and not record.picture_url:
        return {}
    asked = {"If-None-Match": record.etag, "If-Modified-Since": record.last_modified}
    return {name: value for name, value in asked.items() if value}


def _is_page(answer: WebAnswer) -> bool:
    return answer.content_type in _PAGES
