"""The check-up: find out which leak paths (ways in which private data can get out) are open or
closed, from this machine and from the person's answers.

Nothing is stored: findings and answers exist only during one call (docs/spec/learn.md section 1).
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from zxcvbn import zxcvbn

from entrenous.base.errors import HOW_TO_UPDATE
from entrenous.base.language import day_in_words, translated
from entrenous.base.secret import Secret
from entrenous.learn.facts import (
    ADVISED_STEPS_MAX,
    FACT_STALE_DAYS,
    THREAT_HELP_COMMAND,
    CheckUpQuestion,
    SystemSupportEnd,
    all_questions,
    answer_with_key,
    is_fact_stale,
    is_threatened,
    shipped_check_up_order,
    shipped_questions,
    shipped_support_ends,
    shipped_sync_services,
    source_in_words,
)
from entrenous.learn.picture_places import EXAMINED_FILES_MAX, PicturesFound
from entrenous.learn.this_machine import MachineFacts, SystemVersion


class LeakPathState(StrEnum):
    """Whether a leak path is open or closed; UNKNOWN if neither this machine nor the person can
    tell.
    """

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckUpFinding:
    """One finding of the check-up, and the next step.

    ``closes`` names the leak path in words, e.g. "somebody reads the vault's files"; ``undo`` says
    how to undo the step. ``source`` and ``read_on`` say where and when the fact behind the finding
    was read.
    """

    check: str
    path: LeakPathState
    closes: str
    found: str
    next_step: str | None = None
    undo: str | None = None
    source: str | None = None
    read_on: date | None = None


@dataclass(frozen=True, slots=True)
class CheckUpInput:
    """The input of one check-up: facts about the machine, the day, the passphrase, the pictures in
    a folder, and the person's answers. The passphrase and the pictures may be missing.

    ``answers`` maps the id of each answered question to the key of its answer.
    """

    facts: MachineFacts
    today: date
    passphrase: Secret | None = None
    pictures: PicturesFound | None = None
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckUpResult:
    """Findings, those about open leak paths first. ``help`` is a command to run before anything
    else.
    """

    advice: tuple[CheckUpFinding, ...]
    help: str | None = None

    @property
    def has_step(self) -> bool:
        return self.help is not None or any(one.next_step for one in self.advice)


PASSPHRASE_GUESSES_LOG10_MIN: Final = (
    10.0  # zxcvbn's "very unguessable"; Wheeler 2016, USENIX Security 25
)
# number of characters; of a longer passphrase, only the beginning is judged
_ZXCVBN_CHARS_MAX: Final = 72
_SHOWN_NAMES_MAX: Final = 3


def run_check_up(given: CheckUpInput) -> CheckUpResult:
    """Return the findings about the input. Open paths come first, sorted by how much it helps to
    close them.

    If the person is threatened, no step is advised: help comes first, and whoever threatens may
    notice a changed setting.
    """
    machine_checks = [
        _check_passphrase,
        _check_program,
        _check_system,
        _check_permissions,
        _check_synced_folders,
        _check_disk_encryption,
        _check_picture_places,
    ]
    found = [one for check in machine_checks if (one := check(given))]
    found += [one for question in all_questions() if (one := _finding_from_answer(question, given))]
    ranked = sorted(
        found,
        key=lambda one: (_LEAK_PATH_STATE_ORDER.index(one.path), _position_of_check(one.check)),
    )
    if is_threatened(given.answers):
        return CheckUpResult(
            tuple(replace(one, next_step=None, undo=None) for one in ranked), THREAT_HELP_COMMAND
        )
    return CheckUpResult(tuple(_limit_steps(ranked)))


def passphrase_guesses_log10(passphrase: Secret) -> float:
    """Estimate the guesses needed, as a power of ten (zxcvbn)."""
    words = passphrase.reveal().decode(errors="replace")[:_ZXCVBN_CHARS_MAX]
    return float(zxcvbn(words)["guesses_log10"]) if words else 0.0


_LEAK_PATH_STATE_ORDER: Final = (LeakPathState.OPEN, LeakPathState.UNKNOWN, LeakPathState.CLOSED)


def _position_of_check(check: str) -> int:
    """Return a check's position in facts/order.toml; checks that are not listed there come last."""
    names = [one.id for one in shipped_check_up_order()]
    return names.index(check) if check in names else len(names)


def _check_passphrase(given: CheckUpInput) -> CheckUpFinding:
    make_finding = _finding_factory(
        "passphrase", translated("somebody who gets hold of the vault guesses its passphrase")
    )
    if given.passphrase is None:
        return make_finding(LeakPathState.UNKNOWN, translated("The passphrase was not looked at."))
    power = passphrase_guesses_log10(given.passphrase)
    found = translated(
        "A clever guesser would need about 10 to the power of {power:.0f} tries."
    ).format(power=power)
    if power >= PASSPHRASE_GUESSES_LOG10_MIN:
        return make_finding(LeakPathState.CLOSED, found)
    return make_finding(
        LeakPathState.OPEN,
        found,
        translated(
            "Choose four or five words that have nothing to do with each other or with you, "
            "then type: entrenous passphrase change"
        ),
        translated("The same command changes it again."),
    )


def _check_program(given: CheckUpInput) -> CheckUpFinding:
    make_finding = _finding_factory(
        "program", translated("an error of this program that is known by now lets somebody in")
    )
    newer = translated(
        "Whether there is a newer one cannot be seen from here, because nothing leaves this device."
    )
    updated = given.facts.updated_on
    if updated is None:
        this = translated("This is {program}.").format(program=given.facts.program)
        return make_finding(LeakPathState.UNKNOWN, f"{this} {newer}")
    this = translated("This is {program}, last updated here on {day}.").format(
        program=given.facts.program, day=day_in_words(updated)
    )
    found = f"{this} {newer}"
    if (given.today - updated).days <= FACT_STALE_DAYS:
        return make_finding(LeakPathState.UNKNOWN, found)
    undo = translated("git checkout with the commit above brings the old one back.")
    return make_finding(
        LeakPathState.OPEN,
        found,
        translated("Update it: {update}.").format(update=translated(HOW_TO_UPDATE)),
        undo,
    )


def _check_system(given: CheckUpInput) -> CheckUpFinding:
    make_finding = _finding_factory(
        "system", translated("a known error of a system without updates lets somebody in")
    )
    version, table = given.facts.version, shipped_support_ends()
    if version is None:
        return make_finding(
            LeakPathState.UNKNOWN, translated("This system does not say which version it is.")
        )
    support_end = _support_end(version, table.system)
    if support_end is None:
        return make_finding(
            LeakPathState.UNKNOWN,
            translated(
                "This is {shown}. Until when it gets security updates is not known here."
            ).format(shown=version.shown),
            translated(
                "Look up on the maker's page until when your version gets security updates."
            ),
        )
    ends = (
        support_end.ends_enterprise
        if version.enterprise and support_end.ends_enterprise
        else support_end.ends
    )
    where = source_in_words(support_end.source, table.read_on, given.today)
    make_finding = _finding_factory(
        "system",
        make_finding(LeakPathState.UNKNOWN, "").closes,
        (support_end.source, table.read_on),
    )
    if given.today <= ends:
        found = translated("{name} gets security updates until {day} ({where}).").format(
            name=support_end.name, day=day_in_words(ends), where=where
        )
        return make_finding(LeakPathState.CLOSED, found)
    return make_finding(
        LeakPathState.OPEN,
        translated("The updates for everybody ended for {name} on {day} ({where}). {note}")
        .format(
            name=support_end.name,
            day=day_in_words(ends),
            where=where,
            note=translated(support_end.note),
        )
        .rstrip(),
        translated(
            "Make a backup, then move to a version that still gets updates. Until then keep "
            "private pictures off this computer."
        ),
        translated("The backup brings the old system back."),
    )


def _support_end(
    version: SystemVersion, ends: tuple[SystemSupportEnd, ...]
) -> SystemSupportEnd | None:
    key = (version.system, version.version)
    return next((one for one in ends if (one.system, one.version) == key), None)


def _path_with_tilde(path: str) -> str:
    """Return a path with ``~`` for the user's home folder."""
    person = str(Path.home())
    return f"~{path.removeprefix(person)}" if path.startswith(f"{person}{os.sep}") else path


def _check_permissions(given: CheckUpInput) -> CheckUpFinding:
    make_finding = _finding_factory(
        "vault files", translated("another account on this computer reads the vault's files")
    )
    open_names, home = given.facts.open_to_others, given.facts.home
    if open_names is None:
        step = translated("Look at who may open the folder of this app: {home}").format(
            home=_path_with_tilde(home)
        )
        found = translated("Who may read the vault's files cannot be seen here.")
        return make_finding(LeakPathState.UNKNOWN, found, step)
    if open_names:
        return make_finding(
            LeakPathState.OPEN,
            translated("Others may open: {named}.").format(named=_join_first_names(open_names)),
            translated('Close them: chmod -R go-rwx "{home}"').format(home=home),
            translated('Open them again: chmod -R go+rX "{home}"').format(home=home),
        )
    return make_finding(
        LeakPathState.CLOSED, translated("Only your own account may read the vault's files.")
    )


def _check_synced_folders(given: CheckUpInput) -> CheckUpFinding:
    table = shipped_sync_services()
    make_finding = _finding_factory(
        "synced folders", translated("a copy of the vault or of an export goes to a cloud")
    )
    places = given.facts.synced
    if places is None:
        return make_finding(
            LeakPathState.UNKNOWN,
            translated("Some files in synchronized folders could not be checked."),
        )
    late = ""
    if is_fact_stale(table.read_on, given.today):
        late = " " + translated(
            "The list of such services is more than 180 days old: update Entrenous."
        )
    if not places:
        *most, last = (one.name for one in table.service)
        service_names = translated("{first} and {second}").format(
            first=", ".join(most), second=last
        )
        return make_finding(
            LeakPathState.CLOSED,
            translated(
                "Neither the vault nor an export was seen in the folders of {known}."
            ).format(known=service_names)
            + late,
        )
    first = places[0]
    return make_finding(
        LeakPathState.OPEN,
        translated("In a folder of {service} there is {named}.").format(
            service=first.service, named=_join_first_names(tuple(one.at for one in places))
        )
        + late,
        translated(
            "Take it out of what {service} copies, or move it to a folder of your own. Move "
            "the vault while no command runs, and set ENTRENOUS_HOME to its new place."
        ).format(service=first.service),
        translated("Move it back to where it was."),
    )


def _check_disk_encryption(given: CheckUpInput) -> CheckUpFinding:
    make_finding = _finding_factory(
        "disk encryption", translated("somebody who has the disk reads what programs left on it")
    )
    encrypted = given.facts.disk_encrypted
    if encrypted is None:
        return make_finding(
            LeakPathState.UNKNOWN,
            translated("Whether the disk is encrypted cannot be seen from here."),
            translated("Look in the settings of {system} whether the disk is encrypted.").format(
                system=given.facts.system
            ),
        )
    if encrypted:
        return make_finding(
            LeakPathState.CLOSED, translated("The disk that the vault is on is encrypted.")
        )
    return make_finding(
        LeakPathState.OPEN,
        translated("No encryption was seen on the disk that the vault is on."),
        translated(
            "This is not urgent. When you have a quiet day, make a backup and turn on disk "
            "encryption; on some systems you have to install everything again."
        ),
        translated("The same settings turn it off again, where the system offers that."),
    )


def _check_picture_places(given: CheckUpInput) -> CheckUpFinding | None:
    if given.pictures is None:
        return None
    make_finding = _finding_factory(
        "pictures with a place", translated("a picture tells where it was taken")
    )
    pictures = given.pictures
    summary = translated("{count} of {read} pictures tell where they were taken.").format(
        count=len(pictures.with_place), read=pictures.read
    )
    rest = ""
    if pictures.unread:
        rest += " " + translated("{count} could not be read.").format(count=pictures.unread)
    if not pictures.whole:
        too_many = translated("There are more than {count} files; the rest was left out.")
        rest += " " + too_many.format(count=EXAMINED_FILES_MAX)
    if pictures.with_place:
        return make_finding(
            LeakPathState.OPEN,
            f"{summary}{rest}",
            translated(
                "Send copies without the place: entrenous send and entrenous mark write none. For "
                "new photos, take the camera's permission for your location away."
            ),
            translated("Give the camera the permission again."),
        )
    if rest:
        return make_finding(LeakPathState.UNKNOWN, f"{summary}{rest}")
    return make_finding(
        LeakPathState.CLOSED,
        translated("None of {read} pictures tells where it was taken.").format(read=pictures.read),
    )


def _finding_from_answer(question: CheckUpQuestion, given: CheckUpInput) -> CheckUpFinding | None:
    """Return the finding that an answer leads to; None for a question that was skipped."""
    key = given.answers.get(question.id)
    answer = None if key is None else answer_with_key(question, key)
    if answer is None:
        return None
    path = LeakPathState(answer.path)
    closed = path is LeakPathState.CLOSED
    read_on = shipped_questions().read_on
    found = f"{question.question} {answer.says}."
    if is_fact_stale(read_on, given.today):
        found += f" ({source_in_words(question.source, read_on, given.today)})"
    return CheckUpFinding(
        check=question.id,
        path=path,
        closes=question.closes,
        found=found,
        next_step=None if closed else question.step,
        undo=None if closed else question.undo,
        source=question.source,
        read_on=read_on,
    )


def _join_first_names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES_MAX])
    if len(names) <= _SHOWN_NAMES_MAX:
        return shown
    more = translated("and {number} more").format(number=len(names) - _SHOWN_NAMES_MAX)
    return f"{shown} {more}"


def _finding_factory(
    check: str, closes: str, fact: tuple[str, date] | tuple[None, None] = (None, None)
) -> Callable[..., CheckUpFinding]:
    """Return a function that makes a finding from the path's state, a text, a next step, and how to
    undo the step.
    """

    def make_finding(
        path: LeakPathState, found: str, step: str | None = None, undo: str | None = None
    ) -> CheckUpFinding:
        return CheckUpFinding(check, path, closes, found, step, undo, *fact)

    return make_finding


def _limit_steps(advice: list[CheckUpFinding]) -> list[CheckUpFinding]:
    """Keep only the first ADVISED_STEPS_MAX next steps; all findings stay."""
    left = ADVISED_STEPS_MAX
    kept = []
    for one in advice:
        left -= one.next_step is not None
        kept.append(one if left >= 0 else replace(one, next_step=None, undo=None))
    return kept
