"""The report as a PDF on A4: the finding first, the pictures last, on pages of their own."""

from typing import Final

from entrenous.trace.explain.account import Account
from entrenous.trace.explain.drawing import Drawing, Tone, Words
from entrenous.trace.explain.pictures import Pictures, Shown
from entrenous.trace.explain.prose import LIMITS, NOT_WHO, how_to_check
from entrenous.trace.explain.sheet import MARGIN_MM, WIDTH_MM, Sheet, Table, new_sheet

_COLUMNS: Final = (46.0, 16.0, 27.0, 31.0, 44.0)
_HEAD: Final = ("Copy made for", "Score", "Chance", "Likelihood ratio", "Support")
_TERM_MM: Final = 40.0
_TONE_MM: Final = 58.0
_GUTTER_MM: Final = 6.0
_HALF_MM: Final = (WIDTH_MM - _GUTTER_MM) / 2


def write_pdf(account: Account, *, veiled: bool = False) -> bytes:
    """The PDF's bytes; the same account gives the same bytes."""
    title = f"Trace report {account.number}"
    sheet = new_sheet(title, account.at, _every_text(account))
    _finding(sheet, account)
    if account.plot is not None:
        _scores(sheet, account, account.plot)
    if account.undone:
        _undone(sheet, account)
    sheet.heading("How this was found")
    sheet.paragraphs(account.method)
    _limits(sheet)
    _check(sheet, account)
    if account.pictures is not None:
        _pictures(sheet, account.pictures, veiled=veiled)
    return sheet.finish(f"{title}, {account.made_at}")


def _finding(sheet: Sheet, account: Account) -> None:
    sheet.text(f"TRACE REPORT {account.number}", 8.6, bold=True, tone=Tone.NAMED)
    sheet.gap(1.0)
    sheet.text(account.headline, 20.0, bold=True)
    sheet.gap(1.5)
    about = (
        f"About the file {account.file_name}, traced on {account.made_at}. It answers one "
        "question: from whose copy was this file made?"
    )
    sheet.text(about, 10.5, tone=Tone.SOFT)
    sheet.gap(6.0)
    top, page = sheet.pdf.get_y(), sheet.pdf.page
    for line, sentences in account.named:
        sheet.text(line, 12.5, bold=True)
        sheet.gap(1.2)
        sheet.paragraphs(sentences)
    for remark in account.remarks:
        sheet.text(remark, 10.5)
        sheet.gap(2.1)
    sheet.text(NOT_WHO, 10.0, bold=True)
    if sheet.pdf.page == page:
        sheet.bar(top)


def _scores(sheet: Sheet, account: Account, plot: Drawing) -> None:
    sheet.heading("How loudly each copy's mark is heard")
    sheet.gap(sheet.drawing(plot, WIDTH_MM) + 1.0)
    sheet.caption(
        "Each copy's score. The shaded hill is where scores of copies lie that had no part in the "
        "file; right of the dashed line a copy is named.",
        MARGIN_MM,
        WIDTH_MM,
    )
    sheet.gap(4.0)
    rows = [(row.label, row.score, row.chance, row.ratio, row.support) for row in account.rows]
    strong = [place for place, row in enumerate(account.rows) if row.named]
    sheet.table(Table(_HEAD, rows, _COLUMNS, strong, numbers=(1, 2, 3)))
    sheet.gap(1.6)
    note = (
        "Bold: named. Chance: how often the best of all compared copies would score as high if "
        "none of them had a part in the file; rounded up. Likelihood ratio: how many times "
        "likelier this score is if the copy was used than if it was not; rounded down; among many "
        "copies small ones arise by accident. 1e-30 is 1 divided by 1e30, a 1 with 30 zeros."
    )
    further = f"{account.unlisted[:1].upper()}{account.unlisted[1:]} " if account.unlisted else ""
    sheet.room(16.0)
    sheet.caption(further + note, MARGIN_MM, WIDTH_MM)


def _undone(sheet: Sheet, account: Account) -> None:
    if account.tone is None:
        sheet.heading("What was found")
        sheet.facts(account.undone, (_TERM_MM, WIDTH_MM - _TERM_MM))
        return
    tall = account.tone.height * _TONE_MM / account.tone.width
    sheet.room(tall + 24.0)
    sheet.heading("What was done to it, and undone")
    top = sheet.pdf.get_y()
    sheet.drawing(account.tone, _TONE_MM, MARGIN_MM + WIDTH_MM - _TONE_MM)
    sheet.facts(account.undone, (_TERM_MM, WIDTH_MM - _TERM_MM - _TONE_MM - _GUTTER_MM))
    sheet.pdf.set_y(max(sheet.pdf.get_y(), top + tall))


def _limits(sheet: Sheet) -> None:
    sheet.heading("What this does not say")
    for term, words in LIMITS:
        sheet.room(16.0)
        sheet.text(term, bold=True)
        sheet.text(words)
        sheet.gap(2.1)


def _check(sheet: Sheet, account: Account) -> None:
    sheet.heading("How to check it")
    sheet.paragraphs([how_to_check(account.number)])
    sheet.facts((*account.identity, *account.versions), (_TERM_MM, WIDTH_MM - _TERM_MM))
    if account.pictures is not None:
        sheet.gap(2.0)
        last = sheet.pdf.page
        words = "This page holds" if last == 1 else f"Pages 1 to {last} hold"
        sheet.text(f"{words} no picture and can be handed over alone.", bold=True)


def _pictures(sheet: Sheet, shown: Pictures, *, veiled: bool) -> None:
    sheet.page()
    sheet.text("Annex: the pictures", 16.0, bold=True)
    sheet.gap(1.0)
    if veiled:
        sheet.text("They are left out: only their frames and colours are shown.", tone=Tone.SOFT)
    sheet.gap(4.0)
    left = (shown.outlined, "The original. The line goes around the part that the found file shows")
    _pair(sheet, left, (shown.found, "The found file, as it was found"))
    left = (shown.laid, "The found file, laid over the original. Grey: it shows nothing of it")
    _pair(sheet, left, (shown.halves, "Left half: the original. Right half: the found file on it"))


def _pair(
    sheet: Sheet,
    one: tuple[Shown, str],
    other: tuple[Shown, str],
) -> None:
    box = (_HALF_MM, 96.0)
    second = MARGIN_MM + _HALF_MM + _GUTTER_MM
    top = sheet.pdf.get_y()
    tall = max(
        sheet.picture(one[0], box, MARGIN_MM, one[1]),
        sheet.picture(other[0], box, second, other[1]),
    )
    ends = []
    for (_, words), left in ((one, MARGIN_MM), (other, second)):
        sheet.pdf.set_y(top + tall + 1.2)
        sheet.caption(f"{words}.", left, _HALF_MM)
        ends.append(sheet.pdf.get_y())
    sheet.pdf.set_y(max(ends) + 5.0)


def _every_text(account: Account) -> str:
    """Whatever others chose the letters of, and the signs that our own texts need."""
    drawn = account.plot.shapes if account.plot else ()
    return "".join(
        (
            account.file_name,
            *(line for line, _ in account.named),
            *(row.label for row in account.rows),
            *(shape.text for shape in drawn if isinstance(shape, Words)),
            *account.method,
        )
    )
