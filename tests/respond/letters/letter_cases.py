"""Routes and cases for the tests of letters: a case with nearly all facts, and one with few."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.identifiers import BlobId, CaseName
from entrenous.base.secret import Secret
from entrenous.respond.law.law_tables import builtin_letter_routes, shipped_routes
from entrenous.respond.law.legal_route import Route, RouteId, RouteKind
from entrenous.respond.letters.draft import draft_notice
from entrenous.respond.letters.wordings import wording_keys_for
from entrenous.respond.nouns import Case, EvidenceItem, EvidenceLevel, NoticeState, Sighting
from entrenous.respond.situation import PictureMaker, Spread
from tests.respond.case_owner import PAGE_URL, START, make_sighting, situation_in

ROUTES: Final = {route.id: route for route in (*shipped_routes(), *builtin_letter_routes())}
#: Routes for which a letter or another document can be drafted.
LETTER_ROUTES: Final = tuple(
    route
    for route in ROUTES.values()
    if not route.for_children or route.family == "hash-takeitdown"
    if route.kind is not RouteKind.DUTY
)
_SITUATION: Final = replace(
    situation_in("US", "DE"), posted=Spread.PUBLIC, recipient_known=True, platform="instagram"
)
_SCREENSHOT: Final = EvidenceItem(
    1, EvidenceLevel.A1, "the kitchen wall", START, b"h" * 32, 3, Secret(b"s" * 32), BlobId("blob")
)
#: A case with one sighting, no evidence, no notices, and few facts about the picture.
BARE_CASE: Final = Case(
    CaseName("case-2-quiet-heron"),
    START,
    replace(_SITUATION, intimate=None, taken_by=PictureMaker.UNSAID),
    sightings=(replace(make_sighting(), number=1, handle="@shadow"),),
)


def full_case() -> Case:
    """Return a case with a sighting, evidence, and refused notices under three laws."""
    page: Sighting = replace(make_sighting(PAGE_URL), number=1, handle="@shadow")
    case = replace(BARE_CASE, situation=_SITUATION, sightings=(page,), evidence=(_SCREENSHOT,))
    for id_ in ("us-tida-removal", "eu-dsa-16", "eu-gdpr-17"):
        drafted = draft_notice(case, ROUTES[RouteId(id_)], START, language="en")
        sent, answered = START + timedelta(hours=1), START + timedelta(days=3)
        case = replace(
            case,
            notices=(
                *case.notices,
                replace(
                    drafted,
                    state=NoticeState.REFUSED,
                    sent_at=sent,
                    answered_at=answered,
                    refused_at=answered,
                ),
            ),
        )
    return case


DRAFTED_AT: Final = START + timedelta(days=40)


def has_wordings(route: Route) -> bool:
    return wording_keys_for(route) is not None
