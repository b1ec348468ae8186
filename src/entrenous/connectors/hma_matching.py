"""The /h and /m routes of HMA's API (HMA is Meta's Hasher-Matcher-Actioner): hash a picture, and
find the registered hashes that match a hash.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import anyio
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.base.identifiers import BankName
from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS_BITS
from entrenous.connectors.hma_requests import (
    SIGNAL_TYPE,
    BadParameter,
    NoFetching,
    NoPhoto,
    hma_name,
    json_member,
    parse_bank_names,
    parse_flag,
    parse_pdq_signal,
    read_json_object,
    refuse_url,
    require_pdq,
    required_parameter,
)
from entrenous.fingerprint.nouns import Fingerprint, Match
from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.stop.banks import banks_with_gate_shadow
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.answers import PRIVATE_HEADERS
from entrenous.stop.http.request_body import (
    FORM_BYTES_BESIDE_FILE_MAX,
    BrokenForm,
    LongForm,
    parse_form,
    read_body,
    too_large_error,
)
from entrenous.stop.http.upload_requests import take_slot
from entrenous.stop.judge.scan import HashViews, first_scan
from entrenous.stop.judge.weigh import hit_outcome, is_overruled_by_release, release_from_hit
from entrenous.stop.nouns import RELEASED_BANK, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim
from entrenous.stop.upload_record import Outcome

_PHOTO_FIELD: Final = b"photo"


@dataclass(frozen=True, slots=True)
class PhotoForm:
    """The form's file, and its other fields as text."""

    untrusted_photo: bytes
    untrusted_fields: dict[str, str]


async def read_photo_form(request: Request, limit_bytes: int) -> PhotoForm:
    """Read a form with a field "photo". Of several other fields with the same name, the first
    counts.

    Raises:
        TooLarge: raised as soon as the form is known to be too large; the rest is not read.
        TooSlow: the body did not arrive in time.
        NoPhoto: the body is not a well-formed form, or "photo" is missing or empty.
        TwoFiles: "photo" is repeated.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    if declared != b"multipart/form-data":
        raise NoPhoto
    body = await read_body(request, limit_bytes + FORM_BYTES_BESIDE_FILE_MAX)
    form = await run_in_threadpool(parse_photo_form, body, options.get(b"boundary", b""))
    if len(form.untrusted_photo) > limit_bytes:
        raise too_large_error(limit_bytes)
    return form


def parse_photo_form(untrusted_form: bytes, boundary: bytes) -> PhotoForm:
    """Parse a form; raises TwoFiles, or NoPhoto if there is no photo or a limit is exceeded."""
    try:
        fields = parse_form(untrusted_form, boundary, file_field=_PHOTO_FIELD)
    except (BrokenForm, LongForm) as problem:
        raise NoPhoto from problem
    photo = fields.pop(_PHOTO_FIELD, b"")
    if not photo:
        raise NoPhoto
    return PhotoForm(
        photo, {_decode_field(name): _decode_field(value) for name, value in fields.items()}
    )


def _decode_field(untrusted_data: bytes) -> str:
    return untrusted_data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class HashMatch:
    """A matching claim, its distance in bits, and the number of the matched hash."""

    number: int
    distance: int
    claim: Claim
    bank: Bank


def find_hash_matches(views: HashViews, platform: Platform) -> list[HashMatch]:
    """Return the claims that have a whole-picture hash close to one of the hashes in ``views``.

    Close means within the radius of the claim's bank. The nearest claims come first.
    """
    closest: dict[int, int] = {}
    for one in platform.index.find_near_hashes([bits for _, bits in views], part=False):
        closest[one.entry] = min(one.distance, closest.get(one.entry, one.distance))
    claims = platform.bank.claims_on_pictures(closest)
    banks: dict[BankName, Bank] = {bank.name: bank for bank in banks_with_gate_shadow(platform)}
    matches = [
        HashMatch(entry, closest[entry], claim, banks[claim.bank]) for entry, claim in claims
    ]
    inside = [match for match in matches if match.distance <= match.bank.radius]
    return sorted(inside, key=lambda match: (match.distance, match.number))


def one_match_per_hash_in_banks(
    matches: list[HashMatch], bank_names: Collection[str] | None
) -> list[HashMatch]:
    """Return one match for each registered hash that was matched, in the banks with these names or
    in all banks.

    Matches that the gate does not act on are included, but not those with pictures that a reviewer
    released.
    """
    first: dict[int, HashMatch] = {}
    for match in _matches_of_banks(matches, bank_names):
        first.setdefault(match.number, match)
    return list(first.values())


def matches_acted_on(
    matches: list[HashMatch], bank_names: Collection[str] | None
) -> dict[str, list[dict[str, Any]]]:
    """Return, by bank, those matches that the gate would act on.

    Matches in banks that let the upload through are left out, as are banks in shadow mode, since
    their outcomes are only recorded. Matches that a reviewer overruled by releasing this picture
    are left out too.
    """
    released = [
        release_from_hit(_as_match(match), match.claim)
        for match in matches
        if match.bank.name == RELEASED_BANK
    ]
    answer: dict[str, list[dict[str, Any]]] = {}
    for match in _matches_of_banks(matches, bank_names):
        outcome = hit_outcome(_as_match(match), match.claim, match.bank)
        is_overruled = is_overruled_by_release(outcome, _as_match(match), match.claim, released)
        if match.bank.shadow or outcome is Outcome.LET_THROUGH or is_overruled:
            continue
        described = describe_match(match)
        contents = answer.setdefault(hma_name(match.bank.name), [])
        if described not in contents:
            contents.append(described)
    return answer


def describe_match(match: HashMatch) -> dict[str, Any]:
    """Return a match in HMA's form, where the distance is a string."""
    return {"bank_content_id": match.number, "distance": str(match.distance)}


def _matches_of_banks(
    matches: list[HashMatch], bank_names: Collection[str] | None
) -> Iterator[HashMatch]:
    shown = (match for match in matches if match.bank.name != RELEASED_BANK)
    return (
        match for match in shown if bank_names is None or hma_name(match.bank.name) in bank_names
    )


def _as_match(match: HashMatch) -> Match:
    return Match(match.claim.bank, match.claim.id, match.distance, "")


@dataclass(frozen=True, slots=True)
class PictureHasher:
    """Decodes and hashes pictures; only a limited number of requests do so at the same time."""

    platform: Platform
    limit_bytes: int
    slots: anyio.CapacityLimiter

    @classmethod
    def with_gate_limits(cls, platform: Platform, access: GateAccess) -> Self:
        """Return a :class:`PictureHasher` with the limits that the gate has for uploads."""
        slots = anyio.CapacityLimiter(access.uploads_at_once)
        return cls(platform, access.upload_bytes_max, slots)

    async def hash_form_picture(self, request: Request) -> tuple[Fingerprint, PhotoForm]:
        """Return the hash of the whole picture in the form, and the form itself."""
        async with take_slot(self.slots, request):
            form = await read_photo_form(request, self.limit_bytes)
            return await run_in_threadpool(self._hash_picture, form.untrusted_photo), form

    async def scan_form_picture(self, request: Request) -> HashViews:
        """Return the hashes that the gate's quick scan compares for the form's picture; return no
        hashes if the picture is flat.
        """
        async with take_slot(self.slots, request):
            form = await read_photo_form(request, self.limit_bytes)
            return await run_in_threadpool(self._scan_picture, form.untrusted_photo)

    def _hash_picture(self, untrusted_photo: bytes) -> Fingerprint:
        return fingerprint(self.platform.read_picture(untrusted_photo))

    def _scan_picture(self, untrusted_photo: bytes) -> HashViews:
        _, views = first_scan(untrusted_photo, self.platform)
        return () if views.quality < PDQ_QUALITY_MIN else views.whole


@dataclass(frozen=True, slots=True)
class MatchHandlers:
    """Handlers of /h and /m."""

    platform: Platform
    pictures: PictureHasher

    async def refuse_hashing_url(self, request: Request) -> Response:
        """Refuse: addresses are never fetched."""
        required_parameter(request, "url")
        raise NoFetching

    async def hash_file(self, request: Request) -> Response:
        """Return a picture's PDQ hash, or an empty one if it is too flat to compare."""
        refuse_url(request)
        require_pdq(request)
        hashed, _ = await self.pictures.hash_form_picture(request)
        return json_answer({SIGNAL_TYPE: hashed.hex if hashed.quality >= PDQ_QUALITY_MIN else ""})

    async def raw_lookup(self, request: Request) -> Response:
        """Return all registered hashes that match a hash. Banks in shadow mode are included; the
        bank of released pictures is not.
        """
        views = _parse_signal(request)
        with_distance = parse_flag(
            request.query_params.get("include_distance", ""), "include_distance"
        )
        banks = request.query_params.get("banks", "")
        found = await run_in_threadpool(self._matches_in_requested_banks, views, banks)
        matches = [describe_match(match) if with_distance else match.number for match in found]
        return json_answer({"matches": matches})

    async def lookup(self, request: Request) -> Response:
        """Return, by bank, those matches of a hash that the gate would act on."""
        refuse_url(request)
        views = _parse_signal(request)
        banks = request.query_params.get("banks", "")
        return json_answer(await run_in_threadpool(self._matches_that_gate_acts_on, views, banks))

    async def lookup_file(self, request: Request) -> Response:
        """Return the same as :meth:`lookup`, for a picture in all orientations; nothing for a flat
        one.
        """
        refuse_url(request)
        require_pdq(request)
        views = await self.pictures.scan_form_picture(request)
        banks = request.query_params.get("banks", "")
        return json_answer(
            {SIGNAL_TYPE: await run_in_threadpool(self._matches_that_gate_acts_on, views, banks)}
        )

    async def compare(self, request: Request) -> Response:
        document = await read_json_object(request)
        pair = json_member(document, SIGNAL_TYPE, list)
        if len(document) > 1 or len(pair) != 2:
            raise BadParameter(why=f'{{"{SIGNAL_TYPE}": [hash, hash]}} is expected')
        one, other = (Fingerprint(SIGNAL_TYPE, parse_pdq_signal(signal), 0) for signal in pair)
        bits = distance(one, other)
        return json_answer({SIGNAL_TYPE: [bits <= PDQ_RADIUS_BITS, {"distance": bits}]})

    def _matches_in_requested_banks(self, views: HashViews, untrusted_banks: str) -> Any:
        wanted = parse_bank_names(untrusted_banks, self.platform)
        return one_match_per_hash_in_banks(find_hash_matches(views, self.platform), wanted)

    def _matches_that_gate_acts_on(self, views: HashViews, untrusted_banks: str) -> Any:
        wanted = parse_bank_names(untrusted_banks, self.platform)
        return matches_acted_on(find_hash_matches(views, self.platform) if views else [], wanted)


def json_answer(answer: Any, status: int = 200) -> JSONResponse:
    """Return a JSON answer that must not be cached."""
    return JSONResponse(answer, status, PRIVATE_HEADERS)


def _parse_signal(request: Request) -> HashViews:
    signal = required_parameter(request, "signal")
    require_pdq(request, type_required=True)
    return (("", parse_pdq_signal(signal)),)
