"""Invite links (docs/spec/identity.md section 6)."""

from typing import Final

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.cbor import BadCbor, as_bytes, as_list, as_uint, decode, encode, named
from entrenous.craft.wire.text import as_name, as_url
from entrenous.model.ids import ID_BYTES, MailboxId, PersonId
from entrenous.model.person import BadInvite, Invite
from entrenous.model.relay_problem import NotUnderstood
from entrenous.model.secret import Secret

PREFIX: Final = "entrenous:1:"
LINK_CHARS_MAX: Final = 1024
_VERSION: Final = 1


def write_invite(invite: Invite) -> str:
    """The link; it holds a token, so it is shown to nobody but the person who is invited.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    encoded = encode(
        [
            _VERSION,
            invite.name,
            invite.relay_url,
            invite.mailbox,
            invite.person,
            invite.token.reveal(),
        ]
    )
    link = PREFIX + b64u(encoded)
    try:
        read_invite(link)
    except BadInvite:
        raise ValueError("a field of this invite is not what the specification allows") from None
    return link


def read_invite(untrusted_link: str) -> Invite:
    """What an invite link carries.

    Raises:
        BadInvite: not a whole link of this version.
    """
    with named(BadInvite):
        if not untrusted_link.startswith(PREFIX) or len(untrusted_link) > LINK_CHARS_MAX:
            raise BadCbor
        fields = decode(_encoded(untrusted_link))
        version, name, relay_url, mailbox, person, token = as_list(fields, 6, 6)
        as_uint(version, _VERSION, _VERSION)
        return Invite(
            name=as_name(name),
            relay_url=as_url(relay_url),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            person=PersonId(as_bytes(person, 32)),
            token=Secret(as_bytes(token, 32)),
        )


def _encoded(untrusted_link: str) -> bytes:
    try:
        return unb64u(untrusted_link.removeprefix(PREFIX))
    except NotUnderstood:
        raise BadCbor from None
