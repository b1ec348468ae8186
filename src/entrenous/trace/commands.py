"""The command ``entrenous trace``, which prints sentences for people, or JSON.

``--explain`` writes a page and a PDF; with ``--disclose``, it also writes a report for an expert.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entrenous.base.copies import MessageProofs
from entrenous.base.errors import EntrenousError, note_error_file_index
from entrenous.base.identifiers import MessageName
from entrenous.base.language import translatable, translated
from entrenous.base.picture import AlreadyThere, EmptyFolder, MediaKind
from entrenous.base.secret import Secret
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.device.identities import current_name_lookup
from entrenous.device.identities import olm_account_of as keys_of
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.device.sent_copies import receipt_proofs
from entrenous.media.file_kind import media_kind_of
from entrenous.media.sandbox.decoder_pool import DecoderPool
from entrenous.terminal.media_files import (
    name_file_on_error,
    read_nonempty_file,
    translate_unsupported_kind_errors,
)
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line
from entrenous.terminal.output_files import write_new
from entrenous.terminal.progress_bars import step_bar
from entrenous.terminal.session import EXIT_NO, EXIT_YES, exit_status_of
from entrenous.terminal.typed_input import json_option
from entrenous.trace.explain.wording import (
    NOT_WHO_PASSED_IT_ON,
    chance_in_words,
    chance_rounded_up,
    describe_alignment,
    describe_matched_span,
    missing_messages_line,
)
from entrenous.watermark.verdict import (
    Finding,
    FurtherMessageVerdict,
    MatchedSpan,
    PictureWarp,
    Trace,
    Verdict,
)

if TYPE_CHECKING:
    from entrenous.trace.trace_file import FileTrace


def list_files_to_trace(named: Sequence[Path]) -> list[Path]:
    """Return the named files and all files in the named folders and their subfolders.

    Each file is returned once; those of a folder are sorted.

    Raises:
        EmptyFolder: only folders were named, and there is no file in them.
    """
    found = list(dict.fromkeys(file for one in named for file in _list_files(one)))
    if named and not found:
        raise EmptyFolder(path=named[0])
    return found


def _list_files(named: Path) -> Iterator[Path]:
    if named.is_dir():
        yield from sorted(file for file in named.rglob("*") if file.is_file())
    else:
        yield named


NO_COPY_STANDS_OUT = translatable(
    "No copy stands out. This does not clear anybody: the picture may be too small or too changed, "
    "or it may be your own original, which carries no mark."
)
NO_COMPARED_COPY_STANDS_OUT = translatable(
    "No copy stands out among those that could be compared. This does not clear anybody."
)
_SCHEMA = "entrenous/trace/1"


def trace_as_json(found: Trace, lost: Sequence[str] = ()) -> dict[str, object]:
    """Return the object that ``--json`` promises (docs/trace.md).

    ``lost`` names the messages that could not be compared.
    """
    return {
        "schema": _SCHEMA,
        "trace": found.number,
        "message": found.message,
        **_verdict_json(found.verdict),
        "warp": None if found.warp is None else _warp_json(found.warp),
        "span": None if found.span is None else _span_json(found.span),
        "compared": found.compared,
        "others": [_further_message_json(part) for part in found.others],
        "lost": list(lost),
    }


def error_as_json(error: EntrenousError) -> dict[str, object]:
    """Return the JSON object for a file that could not be traced, when several files were named."""
    return {
        "schema": _SCHEMA,
        "trace": None,
        "error": type(error).__name__,
        "family": error.family,
        "detail": join_wrapped_lines(str(error)),
    }


def print_trace(found: Trace, file: Path, lost: Sequence[str] = ()) -> None:
    """Print a trace as sentences; ``lost`` as in :func:`trace_as_json`."""
    if found.message is not None:
        said = translated("{file} is {what}").format(file=file.name, what=_describe_match(found))
        print_line(f"  {said}")
    if found.verdict.finding is Finding.NOBODY:
        print_line(translated(NO_COMPARED_COPY_STANDS_OUT if lost else NO_COPY_STANDS_OUT))
        _print_missing_messages(lost)
        return
    _print_named_copies(found.verdict)
    for part in found.others:
        how = [] if part.warp is None else [describe_alignment(part.warp)]
        also = translated("It also holds {what}")
        if part.warp is not None:
            also = translated("It also shows {what}")
        what = ", ".join([_message_in_words(found, part.message), *how])
        print_line(f"  {also.format(what=what)}")
        _print_named_copies(part.verdict)
    print_line(f"  {translated(NOT_WHO_PASSED_IT_ON)}")
    _print_missing_messages(lost)
    print_line(
        translated("next: entrenous case open --from-trace {number}").format(number=found.number)
    )


def _print_missing_messages(lost: Sequence[str]) -> None:
    if lost:
        print_line(f"  {missing_messages_line(lost)}")


def _message_in_words(found: Trace, message: MessageName | None) -> str:
    """Name a message by what was found in it: a photo, a clip or a recording."""
    said = translated("your recording {message}")
    if found.warp is not None:
        said = translated("your clip {message}")
        if found.span is None:
            said = translated("your photo {message}")
    return said.format(message=message)


def _describe_match(found: Trace) -> str:
    how = [] if found.warp is None else [describe_alignment(found.warp)]
    part = [] if found.span is None else [describe_matched_span(found.span)]
    return ", ".join([_message_in_words(found, found.message), *how, *part])


def _print_named_copies(verdict: Verdict) -> None:
    for who in verdict.named:
        print_line(translated("Its hidden marks fit the copy you sent to {who}.").format(who=who))
        print_line(f"  {chance_in_words(verdict.chance[who])}")


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    return {
        "finding": verdict.finding.value,
        "named": list(verdict.named),
        "chance": {who: chance_rounded_up(chance, 3) for who, chance in verdict.chance.items()},
        "score": {who: round(score, 2) for who, score in verdict.score.items()},
        "likelihood_ratio": dict(verdict.likelihood_ratio),
    }


def _further_message_json(part: FurtherMessageVerdict) -> dict[str, object]:
    warp = None if part.warp is None else _warp_json(part.warp)
    return {"message": part.message, **_verdict_json(part.verdict), "warp": warp}


def _warp_json(warp: PictureWarp) -> dict[str, object]:
    return {
        "kept": round(warp.kept, 4),
        "turned_deg": round(warp.turned_deg, 2),
        "mirrored": warp.mirrored,
        "scale": round(warp.scale, 4),
        "homography": list(warp.homography),
    }


def _span_json(span: MatchedSpan) -> dict[str, object]:
    return {
        "start_s": round(span.start_s, 3),
        "length_s": round(span.length_s, 3),
        "speed": round(span.speed, 5),
    }


EXPLANATION_PAGE_NAME: Final = "trace.html"
EXPLANATION_PDF_NAME: Final = "trace.pdf"
DISCLOSED_REPORT_NAME: Final = "report.json"
DISCLOSE_WARNING: Final = translatable(
    "Whoever has {path} can make every copy of this one picture. Give it to the person who checks "
    "the finding, and to nobody else. Your other messages are not in it."
)


@dataclass(frozen=True, slots=True)
class ExplanationOptions:
    """The folder that ``--explain`` writes to, and the options that go with it.

    ``blind`` leaves out the names of copies that are not identified, and ``veiled`` leaves out the
    pictures. ``disclosed`` says whether a file with the marks' secrets is written too.
    """

    out: Path
    blind: bool
    veiled: bool
    disclosed: bool

    def in_subfolder(self, name: str) -> "ExplanationOptions":
        return replace(self, out=self.out / name)


def explanation_options(
    out: Path | None, *, blind: bool, veiled: bool, disclosed: bool
) -> ExplanationOptions | None:
    """Return the options of ``--explain``; None if it was not given.

    Raises: BadParameter: an option that needs ``--explain`` was given without it.
    """
    if out is not None:
        return ExplanationOptions(out, blind, veiled, disclosed)
    if blind or veiled or disclosed:
        raise typer.BadParameter(translated("--blind, --veil and --disclose need --explain DIR"))
    return None


def refuse_existing_files(out: Path) -> None:
    """Check, before the long work, that none of an explanation's files exists yet.

    Raises:
        AlreadyThere.
    """
    for name in (EXPLANATION_PAGE_NAME, EXPLANATION_PDF_NAME, DISCLOSED_REPORT_NAME):
        if (out / name).exists() or (out / name).is_symlink():
            raise AlreadyThere(path=out / name)


def write_explanation(
    traced: "FileTrace", data: bytes, name: str, device: Device, wanted: ExplanationOptions
) -> None:
    """Write one trace's page, its PDF and, on request, its report; print where they are."""
    # imported here because they are slow to load, and most traces need no page and no PDF
    sections, page, pdf = (
        import_module(f"entrenous.trace.explain.{module}") for module in ("sections", "page", "pdf")
    )
    options = sections.ReportOptions(wanted.blind, wanted.veiled)
    content = sections.report_content_of_file(traced, data, name, device, options)
    files = {
        EXPLANATION_PAGE_NAME: page.write_page(content, veiled=wanted.veiled).encode(),
        EXPLANATION_PDF_NAME: pdf.write_pdf(content, veiled=wanted.veiled),
    }
    if wanted.disclosed:
        keys, of = signing_olm_account(device), traced.trace.message
        proofs = (
            MessageProofs()
            if of is None
            else receipt_proofs(device.ledger.message_named(of).id, device)
        )
        disclose = import_module("entrenous.trace.report.disclose").disclose_trace
        blind, name_of = wanted.blind, current_name_lookup(device)
        made = disclose(
            traced.trace.number, data, device, keys, blind=blind, proofs=proofs, name_of=name_of
        )
        files[DISCLOSED_REPORT_NAME] = made.file
    for file, content in files.items():
        write_new(wanted.out / file, content)
    names = ", ".join(str(wanted.out / file) for file in files)
    hint("  " + translated("wrote {names}").format(names=names))
    if wanted.disclosed:
        hint(translated(DISCLOSE_WARNING).format(path=wanted.out / DISCLOSED_REPORT_NAME))


def signing_olm_account(device: Device) -> Secret | None:
    """Return the keys that this device signs with; None when it was set up without a relay."""
    try:
        return keys_of(device)
    except DeviceWithoutRelay:
        return None


PICTURES_NOT_COMPARED = translatable(
    "{count} of your sent photos are known by their fingerprints alone, so a cut-out of one of "
    "them may be missed. Look at them once: entrenous trace --learn"
)


def add_commands(app: typer.Typer) -> None:
    app.command("trace")(trace)


def trace(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Found files, or folders of them."),
    ] = None,
    json: Annotated[
        bool, json_option("Print one JSON object; for several files, one on each line.")
    ] = False,
    learn: Annotated[
        bool, typer.Option("--learn", help="First record what older sent photos look like.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write an explanation into DIR: a page and a PDF."),
    ] = None,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind", help="With --explain: leave out names of copies that were not identified."
        ),
    ] = False,
    veil: Annotated[
        bool, typer.Option("--veil", help="With --explain: leave out the pictures themselves.")
    ] = False,
    disclose: Annotated[
        bool,
        typer.Option(
            "--disclose", help="With --explain: also write a report with the marks' secrets."
        ),
    ] = False,
) -> None:
    """Say whose copy a found file is, and how likely an innocent copy is to fit at least as well.

    If you name a folder, all files in it are traced. Exit status 0: a copy is named; 1: no copy
    stands out. If one of several files cannot be read, the others are traced all the same.
    """
    if not files and not learn:
        raise typer.BadParameter(translated("name a file or a folder"), param_hint="FILE...")
    wanted = explanation_options(explain, blind=blind, veiled=veil, disclosed=disclose)
    found = list_files_to_trace(files or [])
    alone = read_nonempty_file(found[0]) if len(found) == 1 and files == found else None
    with DecoderPool() as decoders, _unlock_while_decoding(context, alone, decoders) as device:
        if learn:
            _learn_pictures(device)
        if alone is not None:
            raise typer.Exit(_trace_one(found[0], alone, device, wanted, json))
        if found:
            raise typer.Exit(_trace_many(found, device, wanted, json))


@contextmanager
def _unlock_while_decoding(
    context: typer.Context, data: bytes | None, decoders: DecoderPool
) -> Iterator[Device]:
    """Unlock the device, and meanwhile decode a picture and load what tracing needs.

    Asking for the passphrase, deriving the key from it, and loading OpenCV take long.
    """
    if data is not None and media_kind_of(data) is MediaKind.PICTURE:
        decoders.start_reading(data)
    loading = Thread(target=import_module, args=("entrenous.trace.trace_file",))
    loading.start()
    with opened_device(context) as device:
        loading.join()
        yield replace(device, read_picture=decoders.read)


def _trace_one(
    file: Path, data: bytes, device: Device, wanted: ExplanationOptions | None, json: bool
) -> int:
    from entrenous.trace.trace_file import trace_file, with_current_names  # noqa: PLC0415 - loads OpenCV

    if wanted is not None:
        refuse_existing_files(wanted.out)
    with name_file_on_error([file]), note_error_file_index(0):
        traced = with_current_names(trace_file(data, device), device)
    if json:
        print_json(trace_as_json(traced.trace, traced.lost))
    else:
        print_trace(traced.trace, file, traced.lost)
    if wanted is not None:
        write_explanation(traced, data, file.name, device, wanted)
    _hint_at_unlearnt_pictures(traced)
    return _exit_status(traced)


def _trace_many(
    files: list[Path], device: Device, wanted: ExplanationOptions | None, json: bool
) -> int:
    """Trace files one by one, and return the exit status.

    The status reports a failure only if every file failed.
    """
    from entrenous.trace.originals import OriginalsCache  # noqa: PLC0415 - loads OpenCV
    from entrenous.trace.trace_file import trace_file, with_current_names  # noqa: PLC0415 - as above

    statuses, failures = [], []
    originals = OriginalsCache(device.read_picture)
    with step_bar(translated("Tracing"), len(files)) as steps:
        for file in files:
            try:
                data = read_nonempty_file(file)
                with translate_unsupported_kind_errors(file):
                    traced = with_current_names(trace_file(data, device, originals), device)
                if wanted is not None:
                    own = wanted.in_subfolder(f"trace-{traced.trace.number}")
                    write_explanation(traced, data, file.name, device, own)
            except EntrenousError as error:
                failures.append(exit_status_of(error))
                _report_error(error, file, json)
            else:
                statuses.append(_exit_status(traced))
                _report_trace(traced, file, json)
            steps.advance()
    return min(statuses) if statuses else failures[0]


def _report_trace(traced: "FileTrace", file: Path, json: bool) -> None:
    if json:
        print_json({**trace_as_json(traced.trace, traced.lost), "file": str(file)})
    else:
        print_line(str(file))
        print_trace(traced.trace, file, traced.lost)


def _report_error(error: EntrenousError, file: Path, json: bool) -> None:
    if json:
        print_json({**error_as_json(error), "file": str(file)})
    else:
        print_line(str(file))
        # on standard output, like the results, so that the message stays with its file's name
        print_line(f"  {join_wrapped_lines(str(error))}")


def _exit_status(traced: "FileTrace") -> int:
    return EXIT_NO if traced.trace.verdict.finding is Finding.NOBODY else EXIT_YES


def _hint_at_unlearnt_pictures(traced: "FileTrace") -> None:
    picture_trace = traced.picture_trace
    if picture_trace is not None and picture_trace.without_record and not picture_trace.fits:
        hint(translated(PICTURES_NOT_COMPARED).format(count=picture_trace.without_record))


def _learn_pictures(device: Device) -> None:
    from entrenous.trace.originals import compute_missing_picture_records  # noqa: PLC0415 - loads OpenCV

    without_record = device.ledger.pictures_without_record()
    with step_bar(translated("Looking"), len(without_record)) as steps:
        count = compute_missing_picture_records(without_record, device, steps.advance)
    hint(
        translated("Looked at {count} of {total} sent photos.").format(
            count=count, total=len(without_record)
        )
    )
