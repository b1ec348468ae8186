"""Serve StopNCII's hash API, version 1 (docs/spec/exchange.md, 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.base.secret import Secret
from entrenous.connectors.exchange.exchange_access import (
    PartnerAuth,
    json_error_handlers,
    parse_whole_number,
    query_number,
    read_body,
)
from entrenous.stop.exchange_nouns import (
    PAGE_RECORDS_MAX,
    BadQuery,
    ChangeTime,
    ExchangePartner,
    ExchangeServices,
    MayNotSubmit,
    PartnerOpinion,
    ServedClaim,
    WrongKey,
)
from entrenous.stop.exchange_serving import (
    ChangePage,
    HashStatus,
    change_number_before,
    changes_for_partner,
    record_and_group_by_hash,
    unix_seconds_of_changes,
    update_exchange_state,
)
from entrenous.stop.http.answers import PRIVATE_HEADERS
from entrenous.stop.registration import MATCHING_STATES, STANCES_AGAINST, ClaimState, Stance

FormT = TypeVar("FormT")
ItemT = TypeVar("ItemT")
REQUEST_BODY_BYTES_MAX: Final = 1_000_000
DEFAULT_PAGE_SIZE: Final = 800
# One record names at most this many cases; its status and its feedback take all cases into account.
_CASES_PER_RECORD_MAX: Final = 100
# The names of PDQ that are accepted; the client in PyPI's threatexchange sends the second one by
# mistake.
_PDQ_SIGNAL_NAMES: Final = frozenset({"ImagePDQ", "StopNCIISignalType.ImagePDQ"})
_STANCE_BY_FEEDBACK: Final[Mapping[str, Stance | None]] = {
    "Blocked": Stance.CONFIRMED,
    "NotBlocked": Stance.DISPUTED,
    "Unknown": None,
    "None": None,
    "QualityUnknown": None,
    "PendingReview": None,
    "Withdrawn": None,
    "Deleted": None,
}
_STATUS_BY_STATE: Final[Mapping[ClaimState, str]] = {
    ClaimState.WAITING: "Active",
    ClaimState.CONFIRMED: "Active",
    ClaimState.SUSPENDED: "Deleted",
    ClaimState.WITHDRAWN: "Withdrawn",
}


class _FeedbackForm(msgspec.Struct):
    hashValue: str  # noqa: N815 (StopNCII's name)
    feedbackValue: str  # noqa: N815
    tags: list[str] = []


class _FeedbacksForm(msgspec.Struct):
    hashFeedbacks: list[_FeedbackForm]  # noqa: N815


class _SubmittedHashForm(msgspec.Struct):
    signalType: str  # noqa: N815
    hashValue: str  # noqa: N815


class _SubmissionForm(msgspec.Struct):
    hashRecords: list[_SubmittedHashForm]  # noqa: N815


def stopncii_app(auth: PartnerAuth) -> Starlette:
    """Return the API's application, to be mounted at any address."""
    api = _StopNciiApi(auth, auth.exchange)
    routes = [
        Route("/FetchHashes", api.fetch),
        Route("/SubmitHashes", api.submit, methods=["POST"]),
        Route("/SubmitFeedback", api.feedback, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers=json_error_handlers())
    app.router.redirect_slashes = False  # a redirect could send the key elsewhere
    return app


@dataclass(frozen=True, slots=True)
class _StopNciiApi:
    auth: PartnerAuth
    exchange: ExchangeServices

    async def fetch(self, request: Request) -> Response:
        """Return a page of hashes, in order of their latest change."""
        partner = await self._partner(request)
        start_s = query_number(request, "startTimestamp", 0)
        size = min(query_number(request, "pageSize", DEFAULT_PAGE_SIZE), PAGE_RECORDS_MAX)
        if size < 1:
            raise BadQuery(why="a page must have at least one record")
        token = request.query_params.get("nextPageToken", "")
        page = await run_in_threadpool(self._page, partner, start_s, size, token)
        return JSONResponse(page, headers=PRIVATE_HEADERS)

    async def feedback(self, request: Request) -> Response:
        """Record opinions on hashes that this partner was served."""
        partner = await self._partner(request)
        form = _parse_body(
            await read_body(request, REQUEST_BODY_BYTES_MAX), _FeedbacksForm
        ).hashFeedbacks
        said = {
            _parse_hash(one.hashValue): _parse_stance(one.feedbackValue)
            for one in _refuse_too_many_records(form)
        }
        unknown = await run_in_threadpool(self._record_opinions, partner, said)
        return JSONResponse(
            {"count": len(said) - unknown, "unknown": unknown}, headers=PRIVATE_HEADERS
        )

    async def submit(self, request: Request) -> Response:
        """Register hashes as waiting claims, all or none."""
        partner = await self._partner(request)
        if not partner.submits:
            raise MayNotSubmit
        form = _parse_body(
            await read_body(request, REQUEST_BODY_BYTES_MAX), _SubmissionForm
        ).hashRecords
        if any(one.signalType not in _PDQ_SIGNAL_NAMES for one in _refuse_too_many_records(form)):
            raise BadQuery(why="only ImagePDQ is accepted here")
        hashes = {_parse_hash(one.hashValue): None for one in form}
        await run_in_threadpool(self.exchange.submissions.submit, partner, list(hashes))
        return JSONResponse({"count": len(hashes)}, headers=PRIVATE_HEADERS)

    async def _partner(self, request: Request) -> ExchangePartner:
        """Authenticate the partner, whose key must be in both headers."""
        shown = request.headers.get("ocp-apim-subscription-key", "")
        if Secret(shown.encode()) != Secret(request.headers.get("x-functions-key", "").encode()):
            raise WrongKey
        return await self.auth.authenticate(request, Secret(shown.encode()))

    def _page(
        self, partner: ExchangePartner, start_s: int, size: int, token: str
    ) -> dict[str, Any]:
        seen = update_exchange_state(self.exchange)
        if token:
            after, upto = _parse_page_token(token)
        # A page token does not prove that the client has stored the previous page, since it may
        # have crashed between pages. Only a start time proves this.
        else:
            after, upto = change_number_before(start_s, self.exchange), seen.number
            self.exchange.served.delete_tombstones_read_by(partner, after)
        page = changes_for_partner(partner, after, min(upto, seen.number), size, self.exchange.feed)
        hashes = record_and_group_by_hash(partner, page, seen.number, self.exchange)
        records = _records_json(hashes, self.exchange)
        return {
            "count": len(records),
            "nextPageToken": f"{page.reached}.{upto}" if page.more else None,
            "nextSetTimestamp": self._next_start_second(page, upto, seen, start_s),
            "hasMoreRecords": page.more,
            "hashRecords": records,
        }

    def _next_start_second(
        self, page: ChangePage, upto: int, seen_change_time: ChangeTime, start_s: int
    ) -> int:
        """Return a start time that misses nothing, even for a client that stores it after every
        page.
        """
        if page.more:
            return (
                unix_seconds_of_changes([page.reached], self.exchange)[0]
                if page.reached
                else start_s
            )
        if upto >= seen_change_time.number:
            # A process with a slower clock may still date changes to the present second.
            return seen_change_time.at_s + 1
        return unix_seconds_of_changes([upto], self.exchange)[0] + 1

    def _record_opinions(
        self, partner: ExchangePartner, stances: Mapping[bytes, Stance | None]
    ) -> int:
        """Record opinions; return the number of hashes that this partner was not served."""
        served_claims = self.exchange.served.claims_on_hashes(partner.banks, list(stances))
        served_here = self.exchange.served.served_to(
            partner, [case.claim for _, case in served_claims]
        )
        served = [(bits, case) for bits, case in served_claims if case.claim in served_here]
        opinions = {
            case.claim: stance
            for bits, case in served
            if (stance := stances[bits]) is not None and case.state is not ClaimState.WITHDRAWN
        }
        if opinions:
            self.exchange.opinions.record(partner, opinions)
        return len(stances.keys() - {bits for bits, _ in served})


def _records_json(hashes: Sequence[HashStatus], exchange: ExchangeServices) -> list[dict[str, Any]]:
    claims = {case.claim for one in hashes for case in one.claims}
    opinions = dict[ClaimId, list[PartnerOpinion]]()
    for opinion in exchange.partners.opinions_on(claims):
        opinions.setdefault(opinion.claim, []).append(opinion)
    return [_record_json(one, opinions, exchange.name) for one in hashes]


def _record_json(
    one: HashStatus, opinions: Mapping[ClaimId, list[PartnerOpinion]], ours: str
) -> dict[str, Any]:
    ended = "Withdrawn" if one.is_withdrawn else "Deleted"
    return {
        "lastModtimestamp": one.at_s,
        "signalType": "ImagePDQ",
        "hashValue": one.bits.hex(),
        "hashStatus": "Active" if one.is_live else ended,
        "caseNumbers": {
            case.claim: _STATUS_BY_STATE[case.state] for case in _first_cases_live_first(one.claims)
        },
        "CSPFeedbacks": _feedbacks_json(one, opinions, ours),
    }


def _first_cases_live_first(cases: Sequence[ServedClaim]) -> Sequence[ServedClaim]:
    """Return at most ``_CASES_PER_RECORD_MAX`` cases, those that still match uploads first."""
    return sorted(cases, key=lambda case: case.state not in MATCHING_STATES)[:_CASES_PER_RECORD_MAX]


def _feedbacks_json(
    one: HashStatus, opinions: Mapping[ClaimId, list[PartnerOpinion]], ours: str
) -> list[dict[str, Any]]:
    """Return the feedback on a hash as JSON.

    If all claims on the hash have ended, this is only our own feedback against the hash, since the
    public client reads nothing else (docs/spec/exchange.md, 3.3).
    """
    if not one.is_live:
        tag = "withdrawn" if one.is_withdrawn else "suspended"
        return [{"feedbackValue": "NotBlocked", "tags": [tag], "source": ours}]
    about = [opinion for case in one.claims for opinion in opinions.get(case.claim, ())]
    by_partner = {opinion.partner: _feedback_json(opinion) for opinion in about}
    own = [{"feedbackValue": "Blocked", "tags": [], "source": ours}] if one.is_confirmed else []
    return [*own, *by_partner.values()]


def _feedback_json(opinion: PartnerOpinion) -> dict[str, Any]:
    value = "NotBlocked" if opinion.stance in STANCES_AGAINST else "Blocked"
    return {"feedbackValue": value, "tags": [], "source": opinion.partner}


def _parse_page_token(untrusted_text: str) -> tuple[int, int]:
    after, dot, upto = untrusted_text.partition(".")
    if not dot:
        raise BadQuery(why="this page token is unknown")
    return parse_whole_number(after), parse_whole_number(upto)


def _parse_body(untrusted_body: bytes, form: type[FormT]) -> FormT:
    try:
        return msgspec.json.decode(untrusted_body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadQuery(why="its body is not JSON in StopNCII's form") from problem


def _refuse_too_many_records(things: list[ItemT]) -> list[ItemT]:
    if len(things) > PAGE_RECORDS_MAX:
        raise BadQuery(why=f"it has more than {PAGE_RECORDS_MAX} records")
    return things


def _parse_hash(untrusted_hex: str) -> bytes:
    text = untrusted_hex.lower()
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise BadQuery(why="a hash must have 64 hexadecimal digits")
    return bytes.fromhex(text)


def _parse_stance(untrusted_value: str) -> Stance | None:
    if untrusted_value not in _STANCE_BY_FEEDBACK:
        raise BadQuery(why="there is no such feedback value")
    return _STANCE_BY_FEEDBACK[untrusted_value]
