"""Open a gate's exchange with other platforms, beside its banks."""

import os

import httpx
import sqlalchemy as sa

from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_listings import SqlListingStore
from entrenous.adapters.exchange.fetchers import fetcher_of
from entrenous.adapters.exchange.one_fetch import one_fetch
from entrenous.adapters.exchange.sql_partners import SqlPartnerStore
from entrenous.adapters.exchange.sql_served import SqlServedStore
from entrenous.adapters.exchange.sql_sources import SqlSourceStore
from entrenous.adapters.exchange.tables import prepare_tables
from entrenous.model.exchange import Fetched, Source
from entrenous.ports import Platform
from entrenous.ports.exchange import Exchange
from entrenous.ports.listing import ListingStore
from entrenous.stop.exchange.brought import BankOpinions, BankSubmissions
from entrenous.stop.exchange.fetch import fetch_source
from entrenous.stop.exchange.remove import Removed, remove


def exchange_of(platform: Platform, name: str = "entrenous gate") -> Exchange:
    """The exchange beside a platform's banks, in the same database; tables made if missing.

    Raises:
        NewerBank, OlderBank.
    """
    engine = _engine(platform)
    prepare_tables(engine)
    partners = SqlPartnerStore(engine, platform.clock)
    return Exchange(
        name,
        platform.clock,
        platform.dice,
        platform.bank,
        partners,
        SqlServedStore(engine),
        SqlSourceStore(engine, platform.clock),
        BankOpinions(platform.clock, partners),
        BankSubmissions(platform),
    )


def fetch_from(
    source: Source,
    exchange: Exchange,
    platform: Platform,
    client: httpx.Client,
    *,
    accept_shrinking: bool = False,
) -> Fetched:
    """Fetch a source, with its credentials from its file or the environment, while nobody else
    does.

    Raises:
        FetchRuns, NoCredentials, OddCredentials, OpenCredentials, BadSource, and what
            ``fetch_source`` raises.
    """
    fetcher = fetcher_of(source, client, exchange.clock, os.environ)
    with one_fetch(_engine(platform), source.name):
        return fetch_source(source, fetcher, exchange, platform, accept_shrinking=accept_shrinking)


def remove_source(
    name: str, exchange: Exchange, platform: Platform, *, withdraw: bool | None
) -> Removed:
    """End a source while nobody fetches it; raises FetchRuns, and what ``remove`` does."""
    exchange.sources.source(name)  # before a file of that name is made
    with one_fetch(_engine(platform), name):
        return remove(name, exchange, platform, withdraw=withdraw)


def listings_of(platform: Platform) -> ListingStore:
    """What is kept of claims that the platform listed itself, in the same database."""
    return SqlListingStore(_engine(platform), platform.clock)


def _engine(platform: Platform) -> sa.Engine:
    engine = platform.bank.engine if isinstance(platform.bank, SqlBankStore) else None
    if not isinstance(engine, sa.Engine):
        raise TypeError("exchanges are kept beside the banks, in a database")
    return engine
