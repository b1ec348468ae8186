"""The check-up: find out which leak paths are open or closed, from this machine and from the
person's answers.

Nothing is stored: findings and answers exist only during one call (docs/spec/learn.md section 1).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Final

from zxcvbn import zxcvbn

from entrenous.base.errors import UPDATE
from entrenous.base.language import day_in_words, translated
from entrenous.base.secret import Secret
from entrenous.learn.facts import (
    STALE_DAYS,
    STEPS_MAX,
    CheckUpQuestion,
    SystemEnd,
    shipped_order,
    shipped_questions,
    shipped_services,
    shipped_systems,
    source_in_words,
)
from entrenous.learn.picture_places import FILES_MAX, PicturesFound
from entrenous.learn.questions import HELP, all_questions, answer_of, is_threatened
from entrenous.learn.this_machine import MachineFacts, SystemVersion


class LeakPath(StrEnum):
    """Whether a leak path is open or closed; UNKNOWN if neither this machine nor the person can
    tell.
    """

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Advice:
    """One finding of the check-up, and the next step.

    ``closes`` names the leak path in words, e.g. "somebody reads the vault's files"; ``undo`` says
    how to take the step back. ``source`` and ``read_on`` are where and when a fact was read.
    """

    check: str
    path: LeakPath
    closes: str
    found: str
    next_step: str | None = None
    undo: str | None = None
    source: str | None = None
    read_on: date | None = None


@dataclass(frozen=True, slots=True)
class CheckUpInput:
    """The input of one check-up: the machine, a folder of pictures, and the person's answers.

    ``answers`` has the key of an answer for each question's id; skipped questions are missing.
    """

    facts: MachineFacts
    today: date
    passphrase: Secret | None = None
    pictures: PicturesFound | None = None
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckUp:
    """Findings, the next steps first. ``help`` is the command that comes before all of them."""

    advice: tuple[Advice, ...]
    help: str | None = None

    @property
    def has_step(self) -> bool:
        return self.help is not None or any(one.next_step for one in self.advice)


GUESSES_LOG10_MIN: Final = 10.0  # zxcvbn's "very unguessable"; Wheeler 2016, USENIX Security 25
# number of characters; a longer passphrase is judged by its beginning
_ZXCVBN_LENGTH_MAX: Final = 72
_NAMES_SHOWN: Final = 3


def check_up(seen: CheckUpInput) -> CheckUp:
    """Return the findings about the input. Open paths come first, those most worth closing before
    others.

    If the person is threatened, no step is advised: help comes first, and a changed setting may be
    noticed.
    """
    machine = [
        _check_passphrase,
        _check_program,
        _check_system,
        _check_permissions,
        _check_synced_folders,
        _check_disk_encryption,
        _check_picture_places,
    ]
    found = [one for check in machine if (one := check(seen))]
    found += [one for asked in all_questions() if (one := _advice_from_answer(asked, seen))]
    ranked = sorted(found, key=lambda one: (_FIRST.index(one.path), _check_order(one.check)))
    if is_threatened(seen.answers):
        return CheckUp(tuple(replace(one, next_step=None, undo=None) for one in ranked), HELP)
    return CheckUp(tuple(_limit_steps(ranked)))


def guesses_log10(passphrase: Secret) -> float:
    """Estimate the guesses needed, as a power of ten (zxcvbn)."""
    words = passphrase.reveal().decode(errors="replace")[:_ZXCVBN_LENGTH_MAX]
    return float(zxcvbn(words)["guesses_log10"]) if words else 0.0


_FIRST: Final = (LeakPath.OPEN, LeakPath.UNKNOWN, LeakPath.CLOSED)


def _check_order(check: str) -> int:
    """Return a check's place in the order of facts/order.toml; unlisted ones come last."""
    names = [one.id for one in shipped_order()]
    return names.index(check) if check in names else len(names)


def _check_passphrase(seen: CheckUpInput) -> Advice:
    say = _advice_factory(
        "passphrase", translated("somebody who gets hold of the vault guesses its passphrase")
    )
    if seen.passphrase is None:
        return say(LeakPath.UNKNOWN, translated("The passphrase was not looked at."))
    power = guesses_log10(seen.passphrase)
    found = translated(
        "A clever guesser would need about 10 to the power of {power:.0f} tries."
    ).format(power=power)
    if power >= GUESSES_LOG10_MIN:
        return say(LeakPath.CLOSED, found)
    return say(
        LeakPath.OPEN,
        found,
        translated(
            "Choose four or five words that have nothing to do with each other or with you, "
            "then type: entrenous passphrase change"
        ),
        translated("The same command changes it again."),
    )


def _check_program(seen: CheckUpInput) -> Advice:
    say = _advice_factory(
        "program", translated("an error of this program that is known by now lets somebody in")
    )
    newer = translated(
        "Whether there is a newer one cannot be seen from here, because nothing leaves this"
        " machine."
    )
    updated = seen.facts.updated_on
    if updated is None:
        this = translated("This is {program}.").format(program=seen.facts.program)
        return say(LeakPath.UNKNOWN, f"{this} {newer}")
    this = translated("This is {program}, last updated here on {day}.").format(
        program=seen.facts.program, day=day_in_words(updated)
    )
    found = f"{this} {newer}"
    if (seen.today - updated).days <= STALE_DAYS:
        return say(LeakPath.UNKNOWN, found)
    undo = translated("git checkout with the commit above brings the old one back.")
    return say(
        LeakPath.OPEN,
        found,
        translated("Update it: {update}.").format(update=translated(UPDATE)),
        undo,
    )


def _check_system(seen: CheckUpInput) -> Advice:
    say = _advice_factory(
        "system", translated("a known error of a system without updates lets somebody in")
    )
    version, table = seen.facts.version, shipped_systems()
    if version is None:
        return say(LeakPath.UNKNOWN, translated("This system does not say which version it is."))
    known = _support_end(version, table.system)
    if known is None:
        return say(
            LeakPath.UNKNOWN,
            translated(
                "This is {shown}. Until when it gets security updates is not known here."
            ).format(shown=version.shown),
            translated(
                "Look up on the maker's page until when your version gets security updates."
            ),
        )
    ends = known.ends_enterprise if version.enterprise and known.ends_enterprise else known.ends
    where = source_in_words(known.source, table.read_on, seen.today)
    say = _advice_factory("system", say(LeakPath.UNKNOWN, "").closes, (known.source, table.read_on))
    if seen.today <= ends:
        found = translated("{name} gets security updates until {day} ({where}).").format(
            name=known.name, day=day_in_words(ends), where=where
        )
        return say(LeakPath.CLOSED, found)
    return say(
        LeakPath.OPEN,
        translated("The updates for everybody ended for {name} on {day} ({where}). {note}")
        .format(name=known.name, day=day_in_words(ends), where=where, note=translated(known.note))
        .rstrip(),
        translated(
            "Make a backup, then move to a version that still gets updates. Until then keep "
            "private pictures off this computer."
        ),
        translated("The backup brings the old system back."),
    )


def _support_end(version: SystemVersion, known: tuple[SystemEnd, ...]) -> SystemEnd | None:
    wanted = (version.system, version.version)
    return next((one for one in known if (one.system, one.version) == wanted), None)


def _check_permissions(seen: CheckUpInput) -> Advice:
    say = _advice_factory(
        "vault files", translated("another account on this computer reads the vault's files")
    )
    loose, home = seen.facts.open_to_others, seen.facts.home
    if loose is None:
        step = translated("Look at who may open this folder: {home}").format(home=home)
        found = translated("Who may read the vault's files cannot be seen here.")
        return say(LeakPath.UNKNOWN, found, step)
    if loose:
        return say(
            LeakPath.OPEN,
            translated("Others may open: {named}.").format(named=_join_names(loose)),
            translated('Close them: chmod -R go-rwx "{home}"').format(home=home),
            translated('Open them again: chmod -R go+rX "{home}"').format(home=home),
        )
    return say(LeakPath.CLOSED, translated("Only your own account may read the vault's files."))


def _check_synced_folders(seen: CheckUpInput) -> Advice:
    services = shipped_services().service
    say = _advice_factory(
        "synced folders", translated("a copy of the vault or of an export goes to a cloud")
    )
    places = seen.facts.synced
    if places is None:
        return say(LeakPath.UNKNOWN, translated("Synchronized folders were not looked at."))
    if not places:
        *most, last = (one.name for one in services)
        known = translated("{first} and {second}").format(first=", ".join(most), second=last)
        return say(
            LeakPath.CLOSED,
            translated("In the folders of {known} neither was seen.").format(known=known),
        )
    first = places[0]
    return say(
        LeakPath.OPEN,
        translated("In a folder of {service} there is {named}.").format(
            service=first.service, named=_join_names(tuple(one.at for one in places))
        ),
        translated(
            "Take it out of what {service} copies, or move it to a folder of your own. Move "
            "the vault while no command runs, and set ENTRENOUS_HOME to its new place."
        ).format(service=first.service),
        translated("Move it back to where it was."),
    )


def _check_disk_encryption(seen: CheckUpInput) -> Advice:
    say = _advice_factory(
        "disk encryption", translated("somebody who has the disk reads what programs left on it")
    )
    encrypted = seen.facts.disk_encrypted
    if encrypted is None:
        return say(
            LeakPath.UNKNOWN,
            translated("Whether the disk is encrypted cannot be seen from here."),
            translated("Look in the settings of {system} whether the disk is encrypted.").format(
                system=seen.facts.system
            ),
        )
    if encrypted:
        return say(LeakPath.CLOSED, translated("The disk that the vault is on is encrypted."))
    return say(
        LeakPath.OPEN,
        translated("No encryption was seen on the disk that the vault is on."),
        translated(
            "This is not urgent. When you have a quiet day, make a backup and turn on disk "
            "encryption; on some systems you have to install everything again."
        ),
        translated("The same settings turn it off again, where the system offers that."),
    )


def _check_picture_places(seen: CheckUpInput) -> Advice | None:
    if seen.pictures is None:
        return None
    say = _advice_factory("pictures with a place", translated("a picture tells where it was taken"))
    looked = seen.pictures
    told = translated("{count} of {read} pictures tell where they were taken.").format(
        count=len(looked.with_place), read=looked.read
    )
    rest = ""
    if looked.unread:
        rest += " " + translated("{count} could not be read.").format(count=looked.unread)
    if not looked.whole:
        left = translated("There are more than {count} files; the rest was left out.")
        rest += " " + left.format(count=FILES_MAX)
    if looked.with_place:
        return say(
            LeakPath.OPEN,
            f"{told}{rest}",
            translated(
                "Send copies without the place: entrenous send and entrenous mark write none. For "
                "new photos, take the camera's permission for your location away."
            ),
            translated("Give the camera the permission again."),
        )
    if rest:
        return say(LeakPath.UNKNOWN, f"{told}{rest}")
    return say(
        LeakPath.CLOSED,
        translated("None of {read} pictures tells where it was taken.").format(read=looked.read),
    )


def _advice_from_answer(asked: CheckUpQuestion, seen: CheckUpInput) -> Advice | None:
    """Return what an answer says; None for a question that was skipped."""
    key = seen.answers.get(asked.id)
    answer = None if key is None else answer_of(asked, key)
    if answer is None:
        return None
    path = LeakPath(answer.path)
    closed = path is LeakPath.CLOSED
    return Advice(
        check=asked.id,
        path=path,
        closes=asked.closes,
        found=f"{asked.question} {answer.says}.",
        next_step=None if closed else asked.step,
        undo=None if closed else asked.undo,
        source=asked.source,
        read_on=shipped_questions().read_on,
    )


def _join_names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    if len(names) <= _NAMES_SHOWN:
        return shown
    more = translated("and {number} more").format(number=len(names) - _NAMES_SHOWN)
    return f"{shown} {more}"


def _advice_factory(
    check: str, closes: str, fact: tuple[str, date] | tuple[None, None] = (None, None)
) -> Callable[..., Advice]:
    """Return a function that makes a finding from a path, its words, a next step and how to undo
    it.
    """

    def say(path: LeakPath, found: str, step: str | None = None, undo: str | None = None) -> Advice:
        return Advice(check, path, closes, found, step, undo, *fact)

    return say


def _limit_steps(advice: list[Advice]) -> list[Advice]:
    """Keep only the first STEPS_MAX next steps; all findings stay."""
    left = STEPS_MAX
    kept = []
    for one in advice:
        left -= one.next_step is not None
        kept.append(one if left >= 0 else replace(one, next_step=None, undo=None))
    return kept
