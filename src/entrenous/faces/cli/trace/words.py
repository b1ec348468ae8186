"""A trace as scripts read it, and as people do."""

from collections.abc import Sequence
from pathlib import Path

from entrenous.faces.cli.output import in_one_go, say
from entrenous.model.errors import EntrenousError
from entrenous.model.verdict import Finding, Part, Span, Trace, Verdict, Warp
from entrenous.trace.words import how_it_lies, odds, rounded_up, what_is_lost, which_part

NOT_SAID = "This says whose copy got out, not who passed it on."
NOBODY = (
    "No copy stands out. This does not clear anybody: the picture may be too small or too changed, "
    "or it may be your own original, which carries no mark."
)
NOBODY_OF_THE_REST = (
    "No copy stands out among those that could be compared. This does not clear anybody."
)
_SCHEMA = "entrenous/trace/1"


def as_json(found: Trace, lost: Sequence[str] = ()) -> dict[str, object]:
    """The object that ``--json`` promises (docs/trace.md); ``lost`` names what it could not be
    compared with.
    """
    return {
        "schema": _SCHEMA,
        "trace": found.number,
        "message": found.message,
        **_verdict(found.verdict),
        "warp": None if found.warp is None else _warp(found.warp),
        "span": None if found.span is None else _span(found.span),
        "compared": found.compared,
        "others": [_part(part) for part in found.others],
        "lost": list(lost),
    }


def as_error(error: EntrenousError) -> dict[str, object]:
    """What stands in the place of a trace when a file of several could not be traced."""
    return {
        "schema": _SCHEMA,
        "trace": None,
        "error": type(error).__name__,
        "family": error.family,
        "detail": in_one_go(str(error)),
    }


def tell(found: Trace, file: Path, lost: Sequence[str] = ()) -> None:
    """Say it in sentences; ``lost`` as of :func:`as_json`."""
    if found.message is not None:
        say(f"  {file.name} is {_what(found)}")
    if found.verdict.finding is Finding.NOBODY:
        say(NOBODY_OF_THE_REST if lost else NOBODY)
        _tell_lost(lost)
        return
    _tell_named(found.verdict)
    for part in found.others:
        how = [] if part.warp is None else [how_it_lies(part.warp)]
        does = "holds" if part.warp is None else "shows"
        say(f"  It also {does} {', '.join([f'your {_kind(found)} {part.message}', *how])}")
        _tell_named(part.verdict)
    say(f"  {NOT_SAID}")
    _tell_lost(lost)
    say(f"next: entrenous case open --from-trace {found.number}")


def _tell_lost(lost: Sequence[str]) -> None:
    if lost:
        say(f"  {what_is_lost(lost)}")


def _kind(found: Trace) -> str:
    if found.warp is None:
        return "recording"
    return "photo" if found.span is None else "clip"


def _what(found: Trace) -> str:
    how = [] if found.warp is None else [how_it_lies(found.warp)]
    part = [] if found.span is None else [which_part(found.span)]
    return ", ".join([f"your {_kind(found)} {found.message}", *how, *part])


def _tell_named(verdict: Verdict) -> None:
    for who in verdict.named:
        say(f"Its hidden marks fit the copy you sent to {who}.")
        say(f"  {odds(verdict.chance[who])}")


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "finding": verdict.finding.value,
        "named": list(verdict.named),
        "chance": {who: rounded_up(chance, 3) for who, chance in verdict.chance.items()},
        "score": {who: round(score, 2) for who, score in verdict.score.items()},
        "likelihood_ratio": dict(verdict.likelihood_ratio),
    }


def _part(part: Part) -> dict[str, object]:
    warp = None if part.warp is None else _warp(part.warp)
    return {"message": part.message, **_verdict(part.verdict), "warp": warp}


def _warp(warp: Warp) -> dict[str, object]:
    return {
        "kept": round(warp.kept, 4),
        "turned_deg": round(warp.turned_deg, 2),
        "mirrored": warp.mirrored,
        "scale": round(warp.scale, 4),
        "homography": list(warp.homography),
    }


def _span(span: Span) -> dict[str, object]:
    return {
        "start_s": round(span.start_s, 3),
        "length_s": round(span.length_s, 3),
        "speed": round(span.speed, 5),
    }
