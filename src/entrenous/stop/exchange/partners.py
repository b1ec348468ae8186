"""Partners: who may fetch, and by which key (docs/spec/exchange.md section 1.1)."""

import hashlib
import hmac
from collections.abc import Collection
from typing import Final

from entrenous.craft.wire.b64u import b64u
from entrenous.model.exchange import ExchangePartner, WrongKey
from entrenous.model.ids import BankName
from entrenous.model.secret import Secret
from entrenous.ports.exchange import Exchange

KEY_BYTES: Final = 32


def add_partner(
    name: str, banks: Collection[BankName], exchange: Exchange, *, submits: bool = False
) -> Secret:
    """Let a platform fetch these banks; its key, as the text that it shows, is told this once.

    Raises:
        BadPartnerName, PartnerKnown.
    """
    key = Secret(b64u(exchange.dice.token(KEY_BYTES)).encode())
    exchange.partners.add(name, banks, submits=submits, key=_kept(key))
    return key


def partner_with(key: Secret, exchange: Exchange, *, name: str | None = None) -> ExchangePartner:
    """The partner whose key this is, and whose name, if one was given; raises WrongKey.

    The key is looked up by its hash, which tells a patient stranger's stopwatch nothing about it.
    """
    partner = exchange.partners.with_key(_kept(key))
    if partner is None or not (name is None or _same(name, partner.name)):
        raise WrongKey
    return partner


def _kept(key: Secret) -> bytes:
    """Random 256 bits need no slow hash."""
    return hashlib.sha256(key.reveal()).digest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
