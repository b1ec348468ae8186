"""Compare keys with somebody by short strings: what their steps do when they arrive.

A step that is out of order means nothing. One that is wrong ends the comparing: whoever stands in
between has one guess, at one in four trillion.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from entrenous.craft.crypto.hashing import same
from entrenous.craft.crypto.short_string import commitment_to
from entrenous.model.compare import Comparing, Half, Stage
from entrenous.model.letter import BadKey, Header
from entrenous.model.notes import CompareStep
from entrenous.model.person import Contact
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.moment import this_second
from entrenous.send.verify.comparing import (
    comparing_with,
    drop_comparing,
    keep_comparing,
    proof_of_theirs,
    string_of,
)
from entrenous.send.verify.sas import settle_agreed, show_key


def take_step(step: CompareStep, header: Header, contact: Contact, device: Device) -> None:
    """What somebody's step does; call it in the transaction that moves the ratchets on."""
    if step.step == 1:
        _asked(step, header, contact, device)
        return
    known = comparing_with(contact.person.id, device)
    if known is None or known.transaction != step.transaction:
        return
    if known.their_device not in {None, header.from_device}:
        return
    try:
        _STEPS[step.step](known, step, header, contact, device)
    except BadKey:
        drop_comparing(contact.person.id, device)


def _asked(step: CompareStep, header: Header, contact: Contact, device: Device) -> None:
    """They began. If we did too, both sides go on with the one of the lower number."""
    known = comparing_with(contact.person.id, device)
    busy = known is not None and known.stage is not Stage.BEGUN and known.stage is not Stage.ASKED
    if busy or (known is not None and known.transaction < step.transaction and known.starter):
        return
    asked = Comparing(
        transaction=step.transaction,
        began_at=this_second(device),
        stage=Stage.ASKED,
        starter=False,
        private=Secret(device.dice.token(32)),
        their_device=header.from_device,
        commitment=step.data,
        their_head=header.from_head,
    )
    keep_comparing(contact.person.id, asked, device)


def _answered(
    known: Comparing, step: CompareStep, header: Header, contact: Contact, device: Device
) -> None:
    """They showed their key, so ours, which we promised, may be shown too."""
    if known.stage is not Stage.BEGUN:
        return
    theirs = Half(header.from_device, header.from_head, step.data)
    met = replace(known, their_device=header.from_device, theirs=theirs)
    show_key(met, 3, contact, device)
    _get_ready(met, contact, device)


def _shown(
    known: Comparing, step: CompareStep, header: Header, contact: Contact, device: Device
) -> None:
    """They showed the key that they had promised before they saw ours.

    Their list is the one of the promise: a head that is named only now could have been chosen so
    that the signs fit.
    """
    if known.stage is not Stage.ANSWERED or known.their_head is None:
        return
    if not same(commitment_to(step.data), known.commitment or b""):
        drop_comparing(contact.person.id, device)
        return
    theirs = Half(header.from_device, known.their_head, step.data)
    _get_ready(replace(known, theirs=theirs), contact, device)


def _agreed(
    known: Comparing, step: CompareStep, _header: Header, contact: Contact, device: Device
) -> None:
    """They say that both see the same."""
    if known.stage not in {Stage.READY, Stage.AGREED}:
        return
    if not same(step.data, proof_of_theirs(known, contact.person.id, device)):
        drop_comparing(contact.person.id, device)
        return
    keep_comparing(contact.person.id, replace(known, they_agree=True), device)
    settle_agreed(contact, device)


def _get_ready(met: Comparing, contact: Contact, device: Device) -> None:
    ready = replace(met, stage=Stage.READY)
    string_of(ready, contact.person.id, device)  # raises BadKey before anybody is shown a thing
    keep_comparing(contact.person.id, ready, device)


_STEPS: Final[Mapping[int, Callable[[Comparing, CompareStep, Header, Contact, Device], None]]] = {
    2: _answered,
    3: _shown,
    4: _agreed,
}
