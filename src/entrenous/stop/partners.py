"""Other platforms that the operator knows by their keys (docs/spec/gate.md section 4)."""

from entrenous.model.opinion import BadPartner, NoSuchPartner, Partner, PartnerThere
from entrenous.ports import Platform


def add_partner(name: str, key_hex: str, platform: Platform) -> Partner:
    """Know a platform from now on.

    Raises:
        BadPartner: that is no name, or no key.
        PartnerThere: the name is another key's, or the key has another name; nothing is changed.
    """
    try:
        partner = Partner(name, bytes.fromhex(key_hex))
    except ValueError:
        raise BadPartner from None
    for one in platform.bank.partners():
        if (one.name == name) != (one.key == partner.key):
            raise PartnerThere(name=one.name, key=one.key.hex())
    platform.bank.add_partner(partner)
    return partner


def drop_partner(named: str, platform: Platform) -> None:
    """Know it no more, by its key or by its name; what it said of claims stays.

    Raises:
        NoSuchPartner: nobody has that key, or not one alone that name.
    """
    known = platform.bank.partners()
    of_name = [one.key for one in known if one.name == named]
    keys = [one.key for one in known if one.key.hex() == named.lower()] or of_name
    if len(keys) != 1:
        raise NoSuchPartner
    platform.bank.drop_partner(keys[0])
