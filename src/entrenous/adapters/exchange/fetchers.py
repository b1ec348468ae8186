"""The fetcher of a source, by its kind."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from entrenous.adapters.exchange.credentials import check_file, headers_for
from entrenous.adapters.exchange.files import HashFile
from entrenous.adapters.exchange.hma import Hma
from entrenous.adapters.exchange.ncmec import Ncmec
from entrenous.adapters.exchange.stopncii import StopNcii
from entrenous.adapters.exchange.threatexchange import ThreatExchange
from entrenous.adapters.exchange.web import Web, check_place
from entrenous.model.exchange import BadSource, Source, SourceKind
from entrenous.ports.exchange import Fetcher
from entrenous.ports.world import Clock


def check_source(source: Source) -> None:
    """Whether what is known of it now can be fetched with, without asking it anything.

    Raises:
        BadSource: its address is not a private one, or its file is not there.
        NoCredentials, OpenCredentials, OddCredentials: of its file; the environment is not looked
            at, for it may be another one when this is fetched.
    """
    if source.kind is not SourceKind.FILE:
        check_place(source.place)
        check_file(source)
    elif not Path(source.place).is_file():
        raise BadSource(why="there is no such file")


def fetcher_of(
    source: Source, client: httpx.Client, clock: Clock, environment: Mapping[str, str]
) -> Fetcher:
    """Ready to fetch, with credentials from ``environment`` or the source's file.

    Raises:
        BadSource: its address is not a private one.
        NoCredentials, OpenCredentials, OddCredentials.
    """
    if source.kind is SourceKind.FILE:
        return HashFile(source.name, Path(source.place))
    check_place(source.place)
    web = Web(source.name, source.place, client, headers_for(source, environment))
    if source.kind is SourceKind.STOPNCII:
        return StopNcii(web)
    if source.kind is SourceKind.NCMEC:
        return Ncmec(web, clock)
    if source.kind is SourceKind.THREATEXCHANGE:
        return ThreatExchange(web, source.part, clock)
    return Hma(web, source.part, clock)
