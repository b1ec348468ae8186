"""Owners of cases, with devices in memory, and a timestamp authority without a network."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx

from entrenous.base.picture import Picture
from entrenous.demo.stamp_authority import LocalStampAuthority
from entrenous.device.device import Courier, Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.respond.client.stamp_authority import REPLY_MEDIA_TYPE, HttpTimestampAuthority
from entrenous.respond.law.places import Place
from entrenous.respond.nouns import AgeAnswer, Case, Sighting, SightingReach
from entrenous.respond.open_case import open_case
from entrenous.respond.situation import PictureMaker, Situation
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.vault import MemoryVault

#: The time at which the clock of a ``CaseOwner`` starts by default.
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PAGE_URL = "https://pictures.example/p/123"


def _refuse_to_read_picture(_: bytes) -> Picture:
    raise AssertionError("the rules for cases must not decode a picture")


@dataclass
class CaseOwner:
    """A person whose device has a vault in memory and a clock that tests set."""

    clock: SettableClock = field(default_factory=SettableClock)
    vault: MemoryVault = field(default_factory=MemoryVault)
    device: Device = field(init=False)

    def __post_init__(self) -> None:
        self.device = Device(
            clock=self.clock,
            random_source=SeededRandomSource(),
            vault=self.vault,
            ledger=VaultLedger(self.vault),
            courier=cast("Courier", None),  # the rules for cases must not use a courier
            read_picture=_refuse_to_read_picture,
        )

    def open_case(self, situation: Situation | None = None) -> Case:
        return open_case(None, situation or situation_in("US"), AgeAnswer.ADULTS, self.device)


def owner_at_current_time() -> CaseOwner:
    """Return an owner whose clock starts at the current time, so that real stamps are accepted."""
    return CaseOwner(SettableClock(datetime.now(UTC)))


def situation_in(
    *places: str, taken_by: PictureMaker = PictureMaker.ME, intimate: bool = True
) -> Situation:
    return Situation(tuple(map(Place, places)), intimate=intimate, taken_by=taken_by)


def make_sighting(
    where: str = PAGE_URL, reach: SightingReach = SightingReach.PUBLIC, at: datetime = START
) -> Sighting:
    return Sighting(where, reach, at)


class _OpensslTransport(httpx.BaseTransport):
    """An httpx transport that passes requests to openssl without a socket."""

    def __init__(self, authority: LocalStampAuthority) -> None:
        self._authority = authority

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = self._authority.answer(request.read())
        return httpx.Response(200, content=reply, headers={"Content-Type": REPLY_MEDIA_TYPE})


def create_stamp_authority(folder: Path) -> HttpTimestampAuthority:
    """Create an authority that signs with openssl, and return a client that opens no socket."""
    local = LocalStampAuthority(folder)
    local.prepare()
    client = httpx.Client(transport=_OpensslTransport(local))
    return HttpTimestampAuthority("http://stamps.test", local.ca.read_bytes(), client)
