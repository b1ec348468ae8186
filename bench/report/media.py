"""Write the results of the clip and sound benchmarks, as JSON and as Markdown pages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def write_document(folder: Path, name: str, document: Document, page: str) -> None:
    """Write NAME.json, with numbers rounded to three decimal places, and NAME.md."""
    folder.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(document), parse_float=lambda number: round(float(number), 3))
    (folder / f"{name}.json").write_text(f"{json.dumps(rounded, indent=1)}\n")
    (folder / f"{name}.md").write_text(page)


def sound_page(document: Document) -> str:
    """Return the page about sounds: how well marks are detected, and how audible they are."""
    marks: dict[str, Document] = document["marks"]
    return "\n".join(
        (
            *_head(
                "sounds",
                "python -m bench.sound --out docs/benchmarks",
                "10 s of the sound (AMR-NB: 40 s)",
            ),
            *_counts(document),
            f"Scores of keys that have nothing to do with the leak: mean {document['null_mean']},",
            f"deviation {document['null_sd']}, largest {document['null_max']}.",
            f"A trace takes {document['trace_s_p50']} s of processor time (median).",
            "",
            *_table(("z of the right copy", *marks), _by_attack(document, "material")),
            "How audible a mark is. ViSQOL computes MOS-LQO (1 to 5; 5: nobody can tell it from",
            "the original) for the copy and, to compare, for the unmarked sound after MP3 at 64",
            "kbit/s.",
            "",
            *_table(
                ("", "SNR dB", "segmental SNR dB", "MOS-LQO", "MOS-LQO of MP3 64k"),
                [(name, *(_figure(mark[key]) for key in mark)) for name, mark in marks.items()],
            ),
            *_table(
                ("copies averaged, 30 s, Opus 24k", "named", "best z"),
                [
                    (count, str(one["named"]), f"{one['z']:.1f}")
                    for count, one in document["merged"].items()
                ],
            ),
        )
    )


def clip_page(document: Document) -> str:
    """Return the page about clips: how well marks are detected, and how visible they are."""
    clips: dict[str, Document] = document["clips"]
    keys = ("source_mbit", "copy_mbit", "psnr_yuv_db", "psnr_rgb_db")
    looks = ("change", "change_most", "slow", "slow_codec", "cpu_s")
    return "\n".join(
        (
            *_head(
                "clips",
                "python -m bench.clips --out docs/benchmarks",
                "5 s of the clip, or one frame",
            ),
            *_counts(document),
            *_table(("z of the right copy", *clips), _by_attack(document, "clip")),
            "Each copy as written, compared with the clip that it was made from: bit rates, PSNR",
            "over all samples of Y, Cb and Cr (averaged as FFmpeg's `psnr` does), and over those",
            "of R, G and B.",
            "",
            *_table(
                ("", "Mbit/s of the clip", "Mbit/s of the copy", "PSNR YUV dB", "PSNR RGB dB"),
                [(name, *(_figure(one[key]) for key in keys)) for name, one in clips.items()],
            ),
            "Flicker, in grey levels of luma's full range. The first two columns say how much the",
            "error changes from one frame to the next (root mean square): the mean of all pairs of",
            "frames, and the largest of any pair, where a pulse would show. The next two columns",
            "count only what an eye can see pulsate: the error is averaged over 16 pixels and 5",
            "frames, and the figure says how far this average varies over time. One column is for",
            "the marked copy, the other for the same clip encoded as finely without a mark. The",
            "last column has the seconds of processor time per copy, without the preparation that",
            "all copies share.",
            "",
            *_table(
                (
                    "",
                    "mean change",
                    "largest change",
                    "pulsation",
                    "pulsation, unmarked",
                    "s per copy",
                ),
                [(name, *(_figure(one[key], 3) for key in looks)) for name, one in clips.items()],
            ),
        )
    )


def _head(what: str, command: str, length: str) -> Sequence[str]:
    return (
        f"# Marks in {what}",
        "",
        f"Written by `{command}`, whose docstring explains the method.",
        "z is the score of the right copy, in standard deviations of an innocent copy's score.",
        f"The leak is {length}. With 24 copies, and a chance of at most 1e-6",
        "that an innocent copy is named, a copy is named if z is about 5.6 or more.",
        "",
    )


def _counts(document: Document) -> Sequence[str]:
    right, wrong, leaks = (document[key] for key in ("named_right", "named_wrong", "leaks"))
    return (f"Named: {right} of {len(leaks)}. Named wrongly: {wrong}.", "")


def _by_attack(document: Document, place: str) -> list[Sequence[str]]:
    """Return a table of ``z``: a row for each attack, and a column for each material or clip.

    Rows and columns are in the order of the document.
    """
    found = {(leak["attack"], leak[place]): leak["z"] for leak in document["leaks"]}
    columns = dict.fromkeys(where for _, where in found)
    return [
        (attack, *(_figure(found.get((attack, where)), 1) for where in columns))
        for attack in dict.fromkeys(attack for attack, _ in found)
    ]


def _figure(value: float | None, digits: int = 2) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    lines = (head, ["---"] * len(head), *rows)
    return (*(f"| {' | '.join(line)} |" for line in lines), "")
