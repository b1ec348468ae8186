"""Other platforms that the operator knows by their keys (docs/spec/gate.md section 4)."""

from entrenous.model.opinion import BadPartner, Partner
from entrenous.ports import Platform


def add_partner(name: str, key_hex: str, platform: Platform) -> Partner:
    """Know a platform from now on, or give it another name; raises BadPartner."""
    try:
        partner = Partner(name, bytes.fromhex(key_hex))
    except ValueError:
        raise BadPartner from None
    platform.bank.add_partner(partner)
    return partner


def drop_partner(key_hex: str, platform: Platform) -> None:
    """Know it no more; what it said of claims stays.

    Raises:
        BadPartner: that is no key.
        NoSuchPartner: nobody has it.
    """
    try:
        key = bytes.fromhex(key_hex)
    except ValueError:
        raise BadPartner from None
    platform.bank.drop_partner(key)
