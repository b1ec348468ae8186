"""Choose the sightings that a letter names, and its addressee. A letter that lacks a place or an
addressee that it needs is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from entrenous.base.errors import Refused
from entrenous.respond.law.legal_route import DocumentKind, Route, RouteKind, WhetherCovered
from entrenous.respond.letters.case_lines import notices_to_refer_to
from entrenous.respond.letters.wordings import (
    Wording,
    addressee_office_in,
    placeholders_in,
    wording_keys_for,
    words_in_language,
)
from entrenous.respond.nouns import Case, NoSuchCaseEntry, NoticeState, Sighting, SightingReach
from entrenous.respond.platforms import PlatformRecord, host_of, platform_by_id
from entrenous.respond.report_steps import platform_of_sighting


class ChatNotCovered(Refused):
    """
    Sighting {number} of case {name} is in a chat, and this route does not cover chats, so nothing
    was drafted. Run the command again without --sighting {number}, or see which routes cover chats:
    entrenous law routes {name}
    """


class NoSightingToName(Refused):
    """
    Nothing was drafted: case {name} does not say where the picture can be seen, so the recipient of
    this letter would have nothing to look at. Add the web address of the page (entrenous case add
    {name} --url -). If the picture is only in a chat, somebody who has the message can report it in
    the messenger's own app. To see the possible steps: entrenous law routes {name}
    """


class OnlyInChats(Refused):
    """Nothing was drafted: in case {name}, the picture was seen only in a chat, and nobody outside
    the chat can look it up. First ask somebody who has the message to report it in the messenger's
    own app. If you know the chat's invite link or the number of the message, the recipient of the
    letter may be able to find the picture: draft this letter again and add --sighting {number}, the
    number of the chat in case {name}. To see the other steps for a chat: entrenous law routes
    {name}
    """


class NoAddressee(Refused):
    """
    Nothing was drafted: this letter goes to a person, and case {name} does not say who that is. If
    you do not know who it was, the police may be able to find out. To see the routes that are
    possible: entrenous law routes {name}. If you know the account that posted the picture, add it,
    and type its name when Entrenous asks for it: entrenous case add {name} --chat TEXT --handle -
    """


class NoThreateningAccount(Refused):
    """Nothing was drafted: this letter tells a platform about an account that makes threats, and
    case {name} does not name the account. Name the platform and the account, for example: entrenous
    case add {name} --chat "message on Instagram" --handle -
    """


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who gets a document.

    ``name`` is a platform, a person's account or an authority; ``office`` is the office at a
    platform. ``form`` is the address of the platform's form, if one is known. If the addressee is a
    site that is not in the table of platforms, ``unknown`` is the sighting there: the site's web
    host has to be looked up first.
    """

    name: str
    office: str = ""
    form: str = ""
    platform: PlatformRecord | None = None
    unknown: Sighting | None = None


_ROUTE_KINDS_TO_ONE_HOST: Final = frozenset(
    {RouteKind.COPYRIGHT, RouteKind.PLATFORM, RouteKind.DATA}
)
_ROUTE_KINDS_THAT_NEED_A_SIGHTING: Final = _ROUTE_KINDS_TO_ONE_HOST | {
    RouteKind.SEARCH,
    RouteKind.HELPER,
}
_ADDRESSEE_KEY_BY_DOCUMENT: Final = {
    DocumentKind.POLICE_SHEET: "to_police",
    DocumentKind.COURT_SHEET: "to_court",
}
ACCOUNT_THREAT_ROUTE: Final = "account-threat"


def sightings_to_name(case: Case, route: Route, picked: tuple[int, ...]) -> tuple[Sighting, ...]:
    """Return the sightings that a document names; empty if it names no places.

    Args:
        case: its sightings, and the sightings that its notices name, are considered.
        route: it decides which sightings are named: a platform is told only about one host, a
            search engine about every page.
        picked: numbers of sightings. A chat is named only if it is picked, or, in a letter to a
            person, if it is the only sighting.

    Raises:
        NoSuchCaseEntry: there is no sighting with that number.
        ChatNotCovered: a chat was picked, and the route does not cover chats.
        NoSightingToName, OnlyInChats: the document must name a sighting, and there is none to name.
        NoAddressee: the letter goes to a person, and nothing says who that is.
        NoThreateningAccount: the letter is about an account, and nothing says which.
    """
    named_sightings = (
        picked_or_needed_sightings(case, route, picked) if route_names_places(route) else ()
    )
    if route.family == ACCOUNT_THREAT_ROUTE:
        _refuse_without_account(case, named_sightings)
    elif (
        route.kind in _ROUTE_KINDS_THAT_NEED_A_SIGHTING
        and route_names_places(route)
        and not named_sightings
    ):
        _refuse_without_sighting(case)
    elif route.kind is RouteKind.SENDER and not _knows_sender(case):
        raise NoAddressee(name=case.name)
    return named_sightings


def picked_or_needed_sightings(
    case: Case, route: Route, picked: tuple[int, ...]
) -> tuple[Sighting, ...]:
    """Return the sightings that the person picked, or else those that this addressee needs.

    Arguments as for :func:`sightings_to_name`; raises NoSuchCaseEntry, ChatNotCovered.
    """
    if picked:
        return tuple(_picked_sighting(number, case, route) for number in dict.fromkeys(picked))
    if route.family == ACCOUNT_THREAT_ROUTE:
        return ()
    public = tuple(
        sighting for sighting in case.sightings if sighting.reach is SightingReach.PUBLIC
    )
    if route.kind is RouteKind.SENDER:
        only = case.sightings if len(case.sightings) == 1 else public
        sender = _next_account_to_address(case, route)
        return tuple(sighting for sighting in only if sighting.handle == sender)
    if route.kind is RouteKind.ESCALATION and (about := notices_to_refer_to(case, route)):
        return tuple(
            dict.fromkeys(sighting for notice in about for sighting in notice.named_sightings)
        )
    if route.kind not in _ROUTE_KINDS_TO_ONE_HOST:
        return public
    host = _next_host(case, route, public)
    return tuple(sighting for sighting in public if _sighting_host(sighting) == host)


def sightings_to_pick_from(case: Case, route: Route) -> tuple[Sighting, ...]:
    """Return the sightings that the person may pick for a document along this route."""
    no_chats = route.covers_private_sharing is WhetherCovered.NO
    named_sightings = case.sightings if route_names_places(route) else ()
    return tuple(
        one for one in named_sightings if one.reach is SightingReach.PUBLIC or not no_chats
    )


def route_names_places(route: Route) -> bool:
    """Return whether documents along this route say where the picture is."""
    if route.kind in (RouteKind.POLICE, RouteKind.COURT, RouteKind.ESCALATION):
        # pages for the police or a court contain a time line, and complaints contain the history of
        # a notice; both name places
        return True
    return any(
        not placeholders_in(words.says).isdisjoint({"places", "timeline", "sender"})
        for words in _english_wordings(route)
    )


def addressee_of(case: Case, route: Route, named: tuple[Sighting, ...], language: str) -> Addressee:
    """Return who gets a document: a person, a platform, a site without a record, an authority."""
    frame, office = words_in_language(language).frame, addressee_office_in(route, language)
    if route.document in _ADDRESSEE_KEY_BY_DOCUMENT:
        return Addressee(frame[_ADDRESSEE_KEY_BY_DOCUMENT[route.document]])
    if route.kind is RouteKind.SENDER:
        handles = [seen.handle for seen in named if seen.handle]
        return Addressee(handles[0] if handles else _next_account_to_address(case, route))
    # this complaint goes to the platform's own complaint system; others go to an authority
    if route.family == "eu-dsa-20":
        return Addressee(next((one.to for one in notices_to_refer_to(case, route)), ""), office)
    if route.kind not in _ROUTE_KINDS_THAT_NEED_A_SIGHTING or route.kind is RouteKind.HELPER:
        return Addressee(office or route.addressee)
    record = _platform_record(case, route, named)
    if record is not None:
        return Addressee(record.name, office, _form_address(record, route), record)
    return _site_addressee(route, named, office)


def _site_addressee(route: Route, named: tuple[Sighting, ...], office: str) -> Addressee:
    """Return a site without a record as the addressee."""
    site = next((seen for seen in named if seen.reach is SightingReach.PUBLIC), None)
    if site is None:
        return Addressee(route.addressee)
    unknown = site if route.kind in _ROUTE_KINDS_TO_ONE_HOST and host_of(site.where) else None
    return Addressee(_sighting_host(site), office, unknown=unknown)


def left_out_sightings(
    named: tuple[Sighting, ...], case: Case, route: Route
) -> tuple[Sighting, ...]:
    """Return the case's sightings that this document could have named but does not."""
    if not route_names_places(route):
        return ()
    return tuple(sighting for sighting in case.sightings if sighting not in named)


def _english_wordings(route: Route) -> Iterable[Wording]:
    element = words_in_language("en").element
    return (element[key] for keys in wording_keys_for(route) or () for key in keys)


def _platform_record(
    case: Case, route: Route, named_sightings: tuple[Sighting, ...]
) -> PlatformRecord | None:
    if route.platform:
        return platform_by_id(route.platform)
    seen = named_sightings or (case.sightings if route.family == ACCOUNT_THREAT_ROUTE else ())
    known = filter(None, (platform_of_sighting(one, case.situation) for one in seen))
    named = case.situation.platform if route.family == ACCOUNT_THREAT_ROUTE else ""
    return next(known, platform_by_id(named) if named else None)


def _form_address(record: PlatformRecord, route: Route) -> str:
    return getattr(record, route.form_at) or record.report_url


def _refuse_without_sighting(case: Case) -> None:
    chats = [seen.number for seen in case.sightings if seen.reach is SightingReach.PRIVATE]
    if chats:
        raise OnlyInChats(name=case.name, number=chats[0])
    raise NoSightingToName(name=case.name)


def _refuse_without_account(case: Case, named: tuple[Sighting, ...]) -> None:
    handles = [seen.handle for seen in named or case.sightings if seen.handle]
    known = case.situation.platform or any(
        platform_of_sighting(seen, case.situation) for seen in case.sightings
    )
    if not handles or not known:
        raise NoThreateningAccount(name=case.name)


def _knows_sender(case: Case) -> bool:
    known = case.situation.recipient_known
    return known is True or any(seen.handle for seen in case.sightings)


def _next_account_to_address(case: Case, route: Route) -> str:
    """Return the first account to which no letter along this route was addressed, else the first
    account.

    Each account gets a letter of its own, so that nobody is told who else passed the picture on.
    """
    handles = dict.fromkeys(seen.handle for seen in case.sightings if seen.handle)
    asked = {
        notice.to
        for notice in case.notices
        if notice.route.family == route.family and notice.state is not NoticeState.WITHDRAWN
    }
    return next((one for one in handles if one not in asked), next(iter(handles), ""))


def _picked_sighting(number: int, case: Case, route: Route) -> Sighting:
    for sighting in case.sightings:
        if sighting.number == number:
            if (
                sighting.reach is SightingReach.PRIVATE
                and route.covers_private_sharing is WhetherCovered.NO
            ):
                raise ChatNotCovered(name=case.name, number=number)
            return sighting
    raise NoSuchCaseEntry(name=case.name, what="sighting", number=number)


def _next_host(case: Case, route: Route, public: tuple[Sighting, ...]) -> str:
    """Return the first host that no notice along this route has named, else the first one."""
    hosts = dict.fromkeys(map(_sighting_host, public))
    asked = {
        _sighting_host(sighting)
        for notice in case.notices
        if notice.route.family == route.family and notice.state is not NoticeState.WITHDRAWN
        for sighting in notice.named_sightings
    }
    return next((host for host in hosts if host not in asked), next(iter(hosts), ""))


def _sighting_host(sighting: Sighting) -> str:
    """Return the host of a sighting's web address, or its description if the place is not a web
    address; a leading "www." is removed.
    """
    try:
        host = urlsplit(sighting.where).hostname
    except ValueError:  # unbalanced brackets
        host = None
    return (host or sighting.where).removeprefix("www.")
