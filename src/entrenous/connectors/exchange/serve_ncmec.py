"""Serve NCMEC's hash sharing API, version 2 (docs/spec/exchange.md, 4)."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.connectors.exchange.exchange_access import (
    PartnerAuth,
    basic_credentials,
    query_number,
    read_body,
    xml_element,
    xml_error_handlers,
    xml_response,
)
from entrenous.connectors.exchange.untrusted_pages import XmlElement, read_xml
from entrenous.stop.exchange_nouns import (
    OWN_MEMBER_NUMBER,
    PAGE_RECORDS_MAX,
    BadQuery,
    BadXml,
    ExchangePartner,
    ExchangeServices,
    PartnerOpinion,
    TimeNotReached,
    TimeTooFarAhead,
)
from entrenous.stop.exchange_serving import (
    ChangePage,
    change_number_before,
    changes_for_partner,
    finalize_changes_before,
    time_from_seconds,
    unix_seconds,
    unix_seconds_of_changes,
    update_exchange_state,
)
from entrenous.stop.registration import (
    MATCHING_STATES,
    STANCES_AGAINST,
    ClaimChange,
    ClaimState,
    Stance,
)

_DATE_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class VisibleMembers:
    """The numbers and names of the members that the asking partner may know."""

    ours: str
    asking: ExchangePartner
    by_bank: Mapping[BankName, ExchangePartner]

    @classmethod
    def for_partner(cls, partner: ExchangePartner, exchange: ExchangeServices) -> Self:
        """Return the numbers and names that ``partner`` may know: another partner is included only
        if ``partner`` may fetch the bank of that partner's submissions.
        """
        others = {one.submission_bank: one for one in exchange.partners.partners()}
        shown = {bank: others[bank] for bank in partner.banks if bank in others}
        return cls(exchange.name, partner, shown)

    def members(self) -> list[tuple[int, str]]:
        """Return the numbers and names of the members, in order."""
        known = {OWN_MEMBER_NUMBER: self.ours, self.asking.number: self.asking.name}
        known |= {one.number: one.name for one in self.by_bank.values()}
        return sorted(known.items())

    def owner(self, bank: BankName) -> tuple[int, str]:
        """Return the number and name of the member who submitted the content of that bank."""
        one = self.by_bank.get(bank)
        return (OWN_MEMBER_NUMBER, self.ours) if one is None else (one.number, one.name)


def member_element(number: int, name: str) -> str:
    return xml_element("member", name, id=number)


def entries_element(
    page: ChangePage, times: Sequence[int], numbers: VisibleMembers, exchange: ExchangeServices
) -> str:
    """Return the XML element with a page's entries, of which there is at least one."""
    written = [time_from_seconds(at_s).strftime(_DATE_FORMAT) for at_s in times]
    claims = [one.claim for one in page.changes if one.state in MATCHING_STATES]
    opinions = dict[ClaimId, list[PartnerOpinion]]()
    for opinion in exchange.partners.opinions_on(claims):
        opinions.setdefault(opinion.claim, []).append(opinion)
    inside = [
        _entry_element(one, at, numbers, opinions.get(one.claim, []))
        for one, at in zip(page.changes, written, strict=True)
    ]
    return xml_element("images", "", *inside, maxTimestamp=max(written))


def _entry_element(
    change: ClaimChange, at: str, numbers: VisibleMembers, opinions: Sequence[PartnerOpinion]
) -> str:
    head = (
        member_element(*numbers.owner(change.bank)),
        xml_element("timestamp", at),
        xml_element("id", change.claim),
    )
    if change.state not in MATCHING_STATES:
        return xml_element("deletedImage", "", *head)
    confirmed = change.state is ClaimState.CONFIRMED
    # The client in PyPI's threatexchange keeps only the last of several hashes, so one that the
    # claim's owner registered comes last, and not one that a reviewer added.
    prints = (xml_element("pdq", bits.hex()) for bits in reversed(change.hashes))
    return xml_element(
        "image",
        "",
        *head,
        xml_element("classification", "confirmed" if confirmed else "unconfirmed"),
        xml_element("fingerprints", "", *prints),
        *_feedback_element(opinions),
    )


def _feedback_element(opinions: Sequence[PartnerOpinion]) -> list[str]:
    agree = [
        member_element(one.number, one.partner)
        for one in opinions
        if one.stance not in STANCES_AGAINST
    ]
    inside = list[str]()
    if agree:
        members = xml_element("members", "", *agree)
        inside.append(xml_element("affirmativeFeedback", "", members, type="PDQ"))
    against = [one for one in opinions if one.stance in STANCES_AGAINST]
    if against:
        reasons = (part for one in against for part in _reason_and_members(one))
        whole = xml_element("reasons", "", *reasons)
        inside.append(xml_element("negativeFeedback", "", whole, type="PDQ"))
    return [xml_element("feedback", "", *inside)] if inside else []


def _reason_and_members(one: PartnerOpinion) -> tuple[str, str]:
    members = xml_element("members", "", member_element(one.number, one.partner))
    return xml_element("reason", "", name=one.stance), members


FEEDBACK_BODY_BYTES_MAX: Final = 16_000
STANCE_BY_REASON_GUID: Final = {
    "6f0a3c1e-8d52-4b1f-9a53-5b8e0f7f2c01": Stance.NOT_INTIMATE,
    "6f0a3c1e-8d52-4b1f-9a53-5b8e0f7f2c02": Stance.DISPUTED,
}
_CLIENT_CLOCK_AHEAD_S_MAX: Final = 120
_HALF_HOUR_S: Final = 1800
_TIME_ZONE_ROUNDING_TOLERANCE_S: Final = 60
_TIME_ZONE_OFFSET_S_MAX: Final = 14 * 3600  # seconds: the largest offset of any time zone from UTC
_DATE_PATTERN: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_LOG: Final = logging.getLogger("entrenous.exchange")
_LOCAL_TIME_WARNING: Final = (
    '199 - "this looks like local time sent as UTC: set TZ=UTC where the client runs"'
)


def ncmec_app(auth: PartnerAuth) -> Starlette:
    """Return the API's application, to be mounted at any address."""
    api = _NcmecApi(auth, auth.exchange)
    feedback = "/v2/entries/{member:int}/{entry}/PDQ/feedback"
    routes = [
        Route("/v2/status", api.status),
        Route("/v2/members", api.members),
        Route("/v2/entries", api.entries),
        Route("/v2/feedback/PDQ/reasons", api.feedback_reasons),
        Route(feedback, api.feedback, methods=["PUT"]),
    ]
    app = Starlette(routes=routes, exception_handlers=xml_error_handlers())
    app.router.redirect_slashes = False  # a redirect could send the key elsewhere
    return app


@dataclass(frozen=True, slots=True)
class _TimeRange:
    from_s: int
    to_s: int
    after: int | None  # None for the first page, which is selected by time
    upto: int
    size: int


@dataclass(frozen=True, slots=True)
class _NcmecApi:
    auth: PartnerAuth
    exchange: ExchangeServices

    async def status(self, request: Request) -> Response:
        """Return the partner that is asking."""
        partner = await self._partner(request)
        return xml_response("status", member_element(partner.number, partner.name))

    async def members(self, request: Request) -> Response:
        """Return the members that entries may come from, and the one that is asking."""
        partner = await self._partner(request)
        numbers = await run_in_threadpool(VisibleMembers.for_partner, partner, self.exchange)
        return xml_response("members", *(member_element(*one) for one in numbers.members()))

    async def feedback_reasons(self, request: Request) -> Response:
        """Return the reasons that negative feedback can have."""
        await self._partner(request)
        known = (
            xml_element("feedbackReason", "", guid=guid, name=stance)
            for guid, stance in STANCE_BY_REASON_GUID.items()
        )
        inside = xml_element("availableFeedbackReasons", "", *known, type="PDQ")
        return xml_response("feedbackReasons", inside)

    async def entries(self, request: Request) -> Response:
        """Return a page of entries that changed within a range of time."""
        partner = await self._partner(request)
        time_range = self._parse_time_range(request)
        headers = self._local_time_warning_header(partner, time_range)
        inside = await run_in_threadpool(self._page, partner, time_range)
        return xml_response("queryResult", *inside, **headers)

    async def feedback(self, request: Request) -> Response:
        """Record an opinion on one entry."""
        partner = await self._partner(request)
        stance = _parse_stance(
            read_xml(await read_body(request, FEEDBACK_BODY_BYTES_MAX), FEEDBACK_BODY_BYTES_MAX)
        )
        entry = ClaimId(request.path_params["entry"][:64])
        await run_in_threadpool(self.exchange.opinions.record, partner, {entry: stance})
        return xml_response("feedbackSubmissionResult")

    async def _partner(self, request: Request) -> ExchangePartner:
        name, key = basic_credentials(request)
        return await self.auth.authenticate(request, key, name)

    def _parse_time_range(self, request: Request) -> _TimeRange:
        from_s, to_s = _parse_date(request, "from"), _parse_date(request, "to")
        ahead_s = to_s - unix_seconds(self.exchange.clock.now())
        if ahead_s > _CLIENT_CLOCK_AHEAD_S_MAX:
            raise TimeTooFarAhead(minutes=round(ahead_s / 60))
        # A range that ends in the future is refused: the client's next range would begin at that
        # end, and miss the changes made between now and that end.
        if ahead_s > 0:
            raise TimeNotReached(seconds=ahead_s)
        if "start" not in request.query_params:
            return _TimeRange(from_s, to_s, None, 0, PAGE_RECORDS_MAX)
        size = min(max(query_number(request, "size", PAGE_RECORDS_MAX), 1), PAGE_RECORDS_MAX)
        return _TimeRange(
            from_s, to_s, query_number(request, "start"), query_number(request, "max"), size
        )

    def _local_time_warning_header(
        self, partner: ExchangePartner, time_range: _TimeRange
    ) -> dict[str, str]:
        behind_s = unix_seconds(self.exchange.clock.now()) - time_range.to_s
        halves = round(behind_s / _HALF_HOUR_S)
        off_s = abs(behind_s - halves * _HALF_HOUR_S)
        if (
            time_range.after is not None
            or halves < 1
            or behind_s > _TIME_ZONE_OFFSET_S_MAX
            or off_s > _TIME_ZONE_ROUNDING_TOLERANCE_S
        ):
            return {}
        log_fields = {"event": "local-time-as-utc", "partner": partner.name}
        words = "partner %(partner)s may send local time as UTC"
        _LOG.warning(words, log_fields, extra={"said": log_fields})
        return {"Warning": _LOCAL_TIME_WARNING}

    def _page(self, partner: ExchangePartner, time_range: _TimeRange) -> list[str]:
        seen = update_exchange_state(self.exchange)
        after, upto = time_range.after, time_range.upto
        if after is None:
            seen = finalize_changes_before(time_range.to_s, seen, self.exchange)
            after = change_number_before(time_range.from_s, self.exchange)
            upto = self.exchange.served.last_change_number_before(time_range.to_s)
        page = changes_for_partner(
            partner, after, min(upto, seen.number), time_range.size, self.exchange.feed
        )
        times = unix_seconds_of_changes([one.number for one in page.changes], self.exchange)
        numbers = VisibleMembers.for_partner(partner, self.exchange) if page.changes else None
        inside = [] if numbers is None else [entries_element(page, times, numbers, self.exchange)]
        return [*inside, *_paging_element(time_range, page, upto)]


def _paging_element(time_range: _TimeRange, page: ChangePage, upto: int) -> list[str]:
    if not page.more:
        return []
    said = {"from": _format_time(time_range.from_s), "to": _format_time(time_range.to_s)}
    said |= {"start": str(page.reached), "size": str(time_range.size), "max": str(upto)}
    query = "&".join(f"{name}={value}" for name, value in said.items())
    return [xml_element("paging", "", xml_element("next", f"/v2/entries?{query}"))]


def _parse_stance(root: XmlElement) -> Stance:
    if root.name != "feedbackSubmission":
        raise BadXml(why="it is not a feedbackSubmission")
    if root.descendant("affirmative") is not None:
        return Stance.CONFIRMED
    reasons = root.descendant("negative", "reasonIds")
    guids = (
        [guid.text.strip() for guid in reasons.children_named("guid")]
        if reasons is not None
        else []
    )
    if not guids or any(guid not in STANCE_BY_REASON_GUID for guid in guids):
        raise BadQuery(why="it must contain affirmative, or negative with the guid of a reason")
    return STANCE_BY_REASON_GUID[guids[0]]


def _parse_date(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not _DATE_PATTERN.fullmatch(text):
        raise BadQuery(why="from and to must look like 2026-11-26T12:00:00Z")
    try:
        at = datetime.strptime(text[:19] + "Z", _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError as problem:
        raise BadQuery(why="from and to must look like 2026-11-26T12:00:00Z") from problem
    return unix_seconds(at)


def _format_time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime(_DATE_FORMAT)
