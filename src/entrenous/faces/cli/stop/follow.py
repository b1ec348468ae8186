"""``entrenous gate follow``: what a gate that fetches by itself runs beside itself."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from entrenous.adapters.bank.settings import gate_settings
from entrenous.adapters.exchange.web import exchange_client
from entrenous.adapters.server_log import start_log
from entrenous.model.errors import EntrenousError
from entrenous.model.exchange import Fetched, FetchRuns, Source
from entrenous.model.relay_settings import LogKind
from entrenous.ports import Platform
from entrenous.ports.exchange import Exchange
from entrenous.stop.exchange.rounds import Rounds
from entrenous.wiring.exchange import exchange_of, fetch_from
from entrenous.wiring.platform import open_existing

_LOOK_S_MAX: Final = 30.0
_LOOKS: Final = 10  # in each interval, at which sources are due

_LOG: Final = logging.getLogger("entrenous.gate")


def join(gate: typer.Typer) -> None:
    """Add this module's command to ``entrenous gate``."""
    gate.command("follow", hidden=True)(follow)


def follow(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
) -> None:
    """Fetch each source as often as the gate's settings say, until standard input ends."""
    start_log(LogKind.ERRORS, sys.stderr)
    every = timedelta(minutes=gate_settings(data).fetch_minutes)
    if not every:
        return
    threading.Thread(target=_end_with_input, daemon=True).start()
    with open_existing(data) as (platform, _), exchange_client() as client:
        rounds, exchange = Rounds(every), exchange_of(platform)
        look_s = min(_LOOK_S_MAX, every.total_seconds() / _LOOKS)
        while True:
            fetch_due(rounds, exchange, platform, client)
            threading.Event().wait(look_s)


def fetch_due(rounds: Rounds, exchange: Exchange, platform: Platform, client: httpx.Client) -> None:
    """Fetch those sources that are due. One that fails does not stop the others; of a failure only
    its kind is logged, for its words may tell of places.
    """
    for source in _due(rounds, exchange):
        try:
            told = fetch_from(source, exchange, platform, client)
        except FetchRuns:
            rounds.left_to_another(source.name, exchange.clock.now())
        except EntrenousError as why:
            wait = rounds.failed(source.name, exchange.clock.now())
            said = {"event": "fetch-failed", "kind": type(why).__name__}
            said["again_s"] = str(round(wait.total_seconds()))
            _LOG.warning("fetch failed: %(kind)s", said, extra={"said": said})
        else:
            rounds.fetched(source.name)
            _tell(told)


def _due(rounds: Rounds, exchange: Exchange) -> list[Source]:
    """None while the database is away."""
    sources, now = exchange.sources, exchange.clock.now()
    try:
        return [
            one
            for one in sources.sources()
            if rounds.is_due(one.name, sources.checkpoint(one.name), now)
        ]
    except EntrenousError as why:
        said = {"event": "fetch-waits", "kind": type(why).__name__}
        _LOG.warning("fetch waits: %(kind)s", said, extra={"said": said})
        return []


def _tell(told: Fetched) -> None:
    """What a person has to look at: nothing was withdrawn that was not seen again."""
    if told.kept or told.refused:
        said = {"event": "fetch-incomplete", "kept": told.kept, "unreadable": told.refused}
        _LOG.warning("fetch incomplete: %(kept)d kept", said, extra={"said": said})


def _end_with_input(end: Callable[[int], object] = os._exit) -> None:
    """At once, also in the middle of a page or of waiting for a source: the next fetch goes on from
    the checkpoint, as after a kill.
    """
    with suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    end(0)
