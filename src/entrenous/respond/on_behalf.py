"""Acting for somebody else: only with that person's consent, which is requested and recorded."""

from dataclasses import replace
from datetime import datetime

from entrenous.base.errors import Refused
from entrenous.base.language import day_in_words, translated
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case
from entrenous.respond.nouns import Case, Representative, RepresentativeRole


class NoConsent(Refused):
    """You can act for somebody else only if they agreed to it. No consent was given here, so
    nothing was stored. Ask them first, and explain what you would do. Then write in your own words
    who agreed, how, and to what: --consent -. If you cannot ask them now, you can still see who
    helps: entrenous help
    """


def representative_with_consent(
    role: RepresentativeRole, consent: str, now: datetime
) -> Representative:
    """Return who acts, with the consent as typed; raises NoConsent if that is empty."""
    words = " ".join(consent.split())
    if not words:
        raise NoConsent
    return Representative(role, words, now)


def case_with_representative(case: Case, representative: Representative) -> Case:
    """Return the case with somebody who acts for the person shown."""
    situation = replace(case.situation, on_behalf=True)
    return replace(case, situation=situation, representative=representative)


def record_representative(name: str, representative: Representative, device: Device) -> Case:
    """Record who acts for the person shown, and that person's consent.

    Raises NoSuchCase, NotAllAdults, CaseClosed.
    """
    step = f"noted who acts with consent: {representative.role}"
    return edit_case(
        name, device, lambda case: case_with_representative(case, representative), step
    )


def representative_in_words(representative: Representative) -> str:
    """Format who acts for the person shown, and the consent."""
    as_whom, on = translated(representative.role.value), day_in_words(representative.noted_at)
    return translated("For somebody else, as {as_whom}. Consent, noted on {on}: {consent}").format(
        as_whom=as_whom, on=on, consent=representative.consent
    )
