"""The /c routes of HMA's API (HMA is Meta's Hasher-Matcher-Actioner): banks, their contents, and
exchanges (read only). A content is an entry of a bank.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from entrenous.base.limits import PDQ_QUALITY_MIN
from entrenous.connectors.hma_contents import (
    CONTENT_NUMBER_DIGITS_MAX,
    ContentChange,
    ContentMetadata,
    HmaContent,
    add_content,
    content_id_of,
    delete_content,
    describe_bank,
    describe_content,
    describe_signals,
    get_content,
    parse_enabled_ratio,
    parse_metadata_parameter,
    replace_note,
    set_content_id,
    switch_off,
    switch_on,
)
from entrenous.connectors.hma_matching import PictureHasher, json_answer
from entrenous.connectors.hma_requests import (
    HMA_NAME_CHARS_MAX,
    SIGNAL_TYPE,
    BadParameter,
    NoSuchContent,
    NotSupportedHere,
    get_bank_by_hma_name,
    hma_name,
    json_member,
    parse_flag,
    parse_new_bank_name,
    parse_pdq_signal,
    read_json_object,
    refuse_url,
    require_pdq,
    visible_banks,
)
from entrenous.fingerprint.nouns import TooFlat
from entrenous.stop.banks import PolicyChange, set_policy
from entrenous.stop.exchange_nouns import NoSuchSource, Source, SourceKind
from entrenous.stop.http.answers import run_after_answer
from entrenous.stop.judge.look_back import look_back_for_newest_claims
from entrenous.stop.nouns import Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim
from entrenous.stop.store.exchange_partners import SourceStore
from entrenous.stop.store.registration_changes import ClaimListingStore

_API_NAMES: Final[Mapping[SourceKind, str]] = {
    SourceKind.THREATEXCHANGE: "fb_threatexchange",
    SourceKind.FILE: "local_file",
    SourceKind.NCMEC: "ncmec",
    SourceKind.STOPNCII: "stop_ncii",
    SourceKind.HMA: "hma",  # HMA itself has no name for this kind
}
_HOW_TO_CHANGE_SOURCES: Final = (
    "Sources need credentials, which are not sent over HTTP. Use the command line on the gate's "
    "own machine: entrenous gate exchange --help"
)


@dataclass(frozen=True, slots=True)
class ExchangeHandlers:
    """Handlers of /c/exchanges and /c/exchange."""

    sources: SourceStore

    async def list_apis(self, _request: Request) -> Response:
        """Return the kinds of sources that a gate can fetch from."""
        return json_answer(sorted(_API_NAMES.values()))

    async def list_exchanges(self, _request: Request) -> Response:
        sources = await run_in_threadpool(self.sources.sources)
        return json_answer(sorted(hma_name(one.name) for one in sources))

    async def show_exchange(self, request: Request) -> Response:
        """Return a source's name and kind, but not its address, which may be private."""
        source = await run_in_threadpool(self._source_named, request.path_params["exchange"])
        return json_answer(
            {"name": hma_name(source.name), "api": _API_NAMES[source.kind], "enabled": True}
        )

    async def show_fetch_status(self, request: Request) -> Response:
        """Return how far a source was read. Fetches that are running, or that failed, are not
        recorded.
        """
        name = request.path_params["exchange"]
        return json_answer(await run_in_threadpool(self._source_status, name))

    async def refuse_change(self, _request: Request) -> Response:
        """Refuse, and say what to do instead."""
        raise NotSupportedHere(instead=_HOW_TO_CHANGE_SOURCES)

    def _source_status(self, untrusted_name: str) -> dict[str, Any]:
        source = self._source_named(untrusted_name)
        checkpoint = self.sources.checkpoint(source.name)
        whole_at = _unix_seconds(checkpoint.whole_at)
        return {
            "checkpoint_ts": whole_at,
            "fetched_items": self.sources.count_records_with_claim(source.name),
            "last_fetch_complete_ts": whole_at,
            "last_fetch_succeeded": True if checkpoint.was_read_to_end else None,
            "running_fetch_start_ts": None,
            "up_to_date": checkpoint.was_read_to_end,
        }

    def _source_named(self, untrusted_name: str) -> Source:
        known = {hma_name(one.name): one for one in self.sources.sources()}
        if untrusted_name not in known:
            raise NoSuchSource(name=untrusted_name[:HMA_NAME_CHARS_MAX])
        return known[untrusted_name]


def _unix_seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


_HOW_TO_DROP_BANK: Final = (
    "A bank cannot be deleted, because registrations belong to it. To stop acting on a bank, send "
    'PUT {"enabled": false}; to empty it, DELETE its contents one by one.'
)
_EMPTY_METADATA: Final[dict[str, Any]] = {"collab_metadata": {}, "user_metadata": {}}
_WHY_NO_RENAMING: Final = (
    "A bank cannot be renamed, because its registrations are stored under its name. Create a new "
    "bank instead."
)


@dataclass(frozen=True, slots=True)
class CurationHandlers:
    """Handlers of /c/banks and /c/bank."""

    platform: Platform
    pictures: PictureHasher
    listings: ClaimListingStore

    async def list_banks(self, _request: Request) -> Response:
        """Return all banks except the internal one of released uploads."""
        banks = await run_in_threadpool(visible_banks, self.platform)
        return json_answer([describe_bank(bank) for bank in banks])

    async def create_bank(self, request: Request) -> Response:
        """Create a bank with the gate's cautious policy."""
        wanted = await read_json_object(request)
        bank = await run_in_threadpool(
            self._create_bank, json_member(wanted, "name", str), _wants_shadow(wanted)
        )
        return json_answer(describe_bank(bank), 201)

    async def show_bank(self, request: Request) -> Response:
        return json_answer(describe_bank(await self._bank_of_request(request)))

    async def change_bank(self, request: Request) -> Response:
        """Put a bank into shadow mode, or take it out."""
        bank, wanted = await self._bank_of_request(request), await read_json_object(request)
        if wanted.get("name", request.path_params["bank"]) != request.path_params["bank"]:
            raise NotSupportedHere(instead=_WHY_NO_RENAMING)
        change = PolicyChange(shadow=_wants_shadow(wanted))
        bank = await run_in_threadpool(set_policy, bank.name, change, self.platform)
        return json_answer(describe_bank(bank))

    async def refuse_dropping_bank(self, request: Request) -> Response:
        """Refuse, and say what to do instead."""
        await self._bank_of_request(request)
        raise NotSupportedHere(instead=_HOW_TO_DROP_BANK)

    async def add_signal(self, request: Request) -> Response:
        """Add a hash."""
        bank, wanted = await self._bank_of_request(request), await read_json_object(request)
        bits = parse_pdq_signal(json_member(wanted, SIGNAL_TYPE, str))
        if unknown := set(wanted) - {SIGNAL_TYPE, "note", "metadata"}:
            raise BadParameter(why=f"{len(unknown)} of its signal types are unknown here")
        metadata = ContentMetadata.parse(wanted.get("note"), wanted.get("metadata"))
        return await self._add_hash(bits, bank, metadata)

    async def add_photo(self, request: Request) -> Response:
        """Add a picture's hash; the picture is not stored."""
        refuse_url(request)
        require_pdq(request)
        bank = await self._bank_of_request(request)
        hashed, form = await self.pictures.hash_form_picture(request)
        words = {**request.query_params, **form.untrusted_fields}
        metadata = ContentMetadata.parse(
            words.get("note"), parse_metadata_parameter(words.get("metadata", ""))
        )
        if hashed.quality < PDQ_QUALITY_MIN:
            raise TooFlat(quality=hashed.quality)
        return await self._add_hash(hashed.bits, bank, metadata)

    async def show_content(self, request: Request) -> Response:
        """Return the content with a number."""
        bank = await self._bank_of_request(request)
        content = await run_in_threadpool(
            get_content, _content_number(request), bank, self.platform
        )
        answer = await run_in_threadpool(describe_content, content, self.listings)
        if _query_flag(request, "include_signals"):
            answer["signals"] = describe_signals(content)
        if _query_flag(request, "include_metadata"):
            own = await run_in_threadpool(content_id_of, content, self.listings) or None
            answer["metadata"] = {"content_id": own, "content_uri": None, "json": {}, "collab": {}}
        return json_answer(answer)

    async def change_content(self, request: Request) -> Response:
        """Switch a content on, or off (for good or until a given time), or change its note."""
        bank, wanted = await self._bank_of_request(request), await read_json_object(request)
        change = ContentChange.parse(wanted, self.platform.clock.now())
        content, made = await run_in_threadpool(
            self._change_content, _content_number(request), bank, change
        )
        answer = await run_in_threadpool(describe_content, content, self.listings)
        answer |= {"signals": describe_signals(content)} | _EMPTY_METADATA
        return _answer_with_background_task(answer, self._look_back_task(made))

    async def delete_content(self, request: Request) -> Response:
        """Withdraw a content for good."""
        bank = await self._bank_of_request(request)
        return json_answer(
            {
                "deleted": await run_in_threadpool(
                    self._delete_content, _content_number(request), bank
                )
            }
        )

    async def _bank_of_request(self, request: Request) -> Bank:
        return await run_in_threadpool(
            get_bank_by_hma_name, request.path_params["bank"], self.platform
        )

    async def _add_hash(self, bits: bytes, bank: Bank, metadata: ContentMetadata) -> Response:
        number, made = await run_in_threadpool(self._add_content_with_id, bits, bank, metadata)
        answer = {"id": number, "signals": {SIGNAL_TYPE: bits.hex()}}
        return _answer_with_background_task(answer, self._look_back_task(made))

    def _create_bank(self, untrusted_name: str, shadow: bool | None) -> Bank:  # noqa: FBT001 (run in a thread)
        bank = Bank(parse_new_bank_name(untrusted_name, self.platform), shadow=bool(shadow))
        self.platform.bank.set_bank(bank)
        return bank

    def _add_content_with_id(
        self, bits: bytes, bank: Bank, metadata: ContentMetadata
    ) -> tuple[int, Claim | None]:
        number, made = add_content(bits, bank, metadata.note, self.platform)
        if metadata.content_id:
            set_content_id(
                get_content(number, bank, self.platform), metadata.content_id, self.listings
            )
        return number, made

    def _change_content(
        self, number: int, bank: Bank, change: ContentChange
    ) -> tuple[HmaContent, Claim | None]:
        content, made = get_content(number, bank, self.platform), None
        if change.note is not None:
            replace_note(content, change.note, self.listings)
            content = get_content(number, bank, self.platform)
        if change.on:
            made = switch_on(content, self.platform, self.listings)
        elif change.on is not None:
            switch_off(content, change.until, self.platform, self.listings)
        return get_content(number, bank, self.platform), made

    def _delete_content(self, number: int, bank: Bank) -> int:
        try:
            return delete_content(get_content(number, bank, self.platform), self.platform)
        except NoSuchContent:
            return 0

    def _look_back_task(self, made: Claim | None) -> BackgroundTask | None:
        """Return a task that compares earlier uploads with the new claim; None if there is no new
        claim.
        """
        if made is None:
            return None
        return BackgroundTask(run_after_answer, look_back_for_newest_claims, self.platform)


def _answer_with_background_task(answer: dict[str, Any], task: BackgroundTask | None) -> Response:
    response = json_answer(answer)
    response.background = task
    return response


def _content_number(request: Request) -> int:
    """Return the content's number; raises NoSuchContent if it is malformed."""
    text = request.path_params["content"]
    if not (text.isascii() and text.isdecimal() and len(text) <= CONTENT_NUMBER_DIGITS_MAX):
        raise NoSuchContent
    return int(text)


def _query_flag(request: Request, name: str) -> bool:
    return parse_flag(request.query_params.get(name, ""), name)


def _wants_shadow(wanted: dict[str, Any]) -> bool | None:
    """Return whether ``enabled_ratio`` or else ``enabled`` asks for shadow mode; None if neither is
    given.
    """
    if "enabled_ratio" in wanted:
        return parse_enabled_ratio(wanted["enabled_ratio"]) == 0
    return not parse_flag(wanted["enabled"], "enabled") if "enabled" in wanted else None
