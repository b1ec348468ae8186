"""Make the Markdown page with a run's results from its documents."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.report.learned import CLAIMS, LEARNED_INTRO
from bench.report.summary import ATTACK_SETS

Document = Mapping[str, Any]

_HEAD: Final = """# What was measured of tracing

`bench/trace.py` writes this page. [docs/benchmarks.md](../benchmarks.md) explains how each figure
is made, what the sizes S, M and L are, and how attacks are divided into sets. Scores are in
standard deviations of an innocent copy's score. With 24 recipients, and a chance of at most 1e-6
that an innocent copy is named, a copy is named if its score is about 5.7 or more. A trace that
names nobody counts as a miss, not as a wrong name.
"""
_FAIR: Final = """\
Peers are other watermarking methods. All methods ran on the same photographs and attacks, with 24
recipients. Each copy that a peer makes carries a random number of 64 bits. A leak is resized to the
original's size, and its number is read. The copy with the nearest number is named if at most 10
bits differ: a random number comes as near with a chance of at most 1e-6. The peers read a leak
without the original. Our method compares the leak with the original, which is a great advantage."""
_SETS: Final = {
    "core": "ordinary leaks",
    "hard": "hard leaks",
    "other": "other leaks",
    "ruin": "ruined pictures (not counted in any share)",
}


def page(documents: Mapping[str, Document]) -> str:
    """Return the page. A measurement without a document is left out."""
    makers = {
        "grid": _grid,
        "peers": _peers,
        "collusion": _collusion,
        "null": _null,
        "calibration": _calibration,
        "copies": _copies,
        "cost": _cost,
    }
    parts = [_HEAD, *(make(documents[k]) for k, make in makers.items() if k in documents)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _grid(found: Document) -> str:
    sizes = list(found["photos"])
    sums = [
        [_SETS[name], *(_share_text(by_size[size]) for size in sizes)]
        for name, by_size in found["sets"].items()
        if any(one["leaks"] for one in by_size.values())
    ]
    parts = [
        "## One copy, 24 recipients",
        _conditions(found),
        table(["named right", *sizes], sums),
        _totals(found),
        *(_attacks(found, name, sizes) for name in found["sets"]),
        _missed(found["missed"]),
        "![scores by attack](scores.png)",
    ]
    return "\n\n".join(part for part in parts if part)


def _conditions(found: Document) -> str:
    photos = "; ".join(f"{size}: {', '.join(names)}" for size, names in found["photos"].items())
    gone = f" Missing: {', '.join(found['skipped'])}." if found["skipped"] else ""
    return f"Photographs: {photos}. Seed {found['seed']}.{gone}"


def _totals(found: Document) -> str:
    wrong = sum(one["wrong"] > 0 for one in found["missed"])
    return (
        f"Named wrongly: {wrong}. Largest of {found['innocents']:,} innocent scores: "
        f"{found['innocent_largest']:.2f}. The times in the last table were measured in a separate "
        "run, because here several traces ran at once."
    )


def _attacks(found: Document, name: str, sizes: Sequence[str]) -> str:
    rows = [
        [f"`{attack}`", *(_cell(by_size.get(size)) for size in sizes)]
        for attack, by_size in found["attacks"].items()
        if attack in ATTACK_SETS[name]
    ]
    head = [f"{_SETS[name]}: named right/all; lowest/median score", *sizes]
    return table(head, rows) if rows else ""


def _missed(missed: Sequence[Document]) -> str:
    if not missed:
        return "Nothing was missed."
    rows = [
        [m["photo"], m["size"], f"`{m['attack']}`", _score(m), m["wrong"] or ""] for m in missed
    ]
    return "### What was missed\n\n" + table(
        ["photo", "size", "attack", "score", "named wrongly"], rows
    )


def _score(missed: Document) -> str:
    return "could not be aligned" if missed["score"] is None else f"{missed['score']:.1f}"


def _peers(found: Document) -> str:
    names = list(found["table"])
    first = found["table"]["entrenous"]["leaks"]
    totals = [
        [name, f"{one['right']} of {one['leaks']}", one["wrong"], _digits(one["psnr_db"], 1)]
        for name, one in found["table"].items()
    ]
    rows = [
        [f"`{attack}`", *(found["table"][name]["by_attack"].get(attack, 0) for name in names)]
        for attack in found["attacks"]
    ]
    return "\n\n".join(
        [
            "## Compared with others",
            _FAIR,
            table(["", "named right", "named wrongly", "PSNR of the mark, lowest, dB"], totals),
            table([f"right, of {first // max(1, len(found['attacks']))}", *names], rows),
            LEARNED_INTRO,
            table(
                ["method", "what its paper says", "where"],
                [[c.method, c.says, c.where] for c in CLAIMS],
            ),
        ]
    )


def _collusion(found: Document) -> str:
    head = ["size", "merged how", "copies", "one or more named", "all named", "copies named"]
    rows = [
        [
            one["size"],
            one["way"],
            one["colluders"],
            f"{one['at_least_one']} of {one['leaks']}",
            f"{one['all']} of {one['leaks']}",
            f"{one['named_lowest']} to {one['named_highest']}",
            f"{one['best_lowest']}/{one['best_median']}",
        ]
        for one in found["rows"]
    ]
    wrong = f"Innocent copies named: {found['wrong']}."
    return f"## Merged copies\n\n{wrong}\n\n" + table([*head, "best score, lowest/median"], rows)


def _null(found: Document) -> str:
    everything = found["all"]
    head = ["share of scores with p below", *(f"1e-{power}" for power in found["powers"])]
    rows = [
        ["p by the normal tail", *(f"{share:.3g}" for share in everything["normal"])],
        ["p by the stated bound", *(f"{share:.3g}" for share in everything["bound"])],
        ["traces whose smallest corrected chance is below", *everything["best_below"]],
    ]
    parts = [
        "## Innocents",
        _innocents(everything, found["seed"]),
        table(head, rows),
        _kinds(found["kinds"]),
        "![innocent scores](null.png)",
    ]
    return "\n\n".join(parts)


def _innocents(found: Document, seed: int) -> str:
    return (
        f"{found['leaks']:,} leaks, each compared with 1,000 copies that have nothing to do "
        "with it: "
        f"{found['scores']:,} scores, mean {found['mean']:.5f}, standard deviation "
        f"{found['sd']:.5f}, largest {found['largest']:.2f}. Smallest chance after "
        f"correction for the number of copies: {found['best']:.2g}. **Named: {found['named']}.** "
        f"Seed {seed}."
    )


def _kinds(found: Document) -> str:
    keys = ("leaks", "registered", "scores", "named")
    rows = [
        [kind, *(one[key] for key in keys), f"{one['sd']:.4f}", f"{one['largest']:.2f}"]
        for kind, one in found.items()
    ]
    head = ["innocent leak", "leaks", "aligned", "scores", "named", "sd", "largest"]
    return table(head, rows)


def _calibration(found: Document) -> str:
    head = ["likelihood ratio at least", *found["true_at_least"]]
    rows = [
        ["true copies", *(f"{share:.4f}" for share in found["true_at_least"].values())],
        ["innocent copies", *(f"{share:.2g}" for share in found["innocents_at_least"].values())],
    ]
    words = (
        f"{found['true_copies']:,} true and {found['innocent_copies']:,} innocent copies, from "
        f"leaks in which the mark is ruined or almost gone. Cllr {found['cllr_bits']:.3f} bits; "
        f"{found['cllr_min_bits']:.3f} with the best monotone map."
    )
    plots = "![reliability](reliability.png) ![Tippett plot](tippett.png)"
    title = "## Are the likelihood ratios right?"
    return "\n\n".join([title, words, table(head, rows), plots])


def _copies(found: Document) -> str:
    columns: dict[str, tuple[str, int]] = {
        "PSNR of the mark, dB": ("psnr_mark_db", 1),
        "as written, dB": ("psnr_written_db", 1),
        "SSIM": ("ssim", 4),
        "SSIMULACRA2 of the mark": ("ssimulacra2_mark", 1),
        "as written": ("ssimulacra2", 1),
        "JPEG q95": ("ssimulacra2_q95", 1),
    }
    rows = [
        [r["photo"], r["size"], *(_digits(r[key], d) for key, d in columns.values())]
        for r in found["rows"]
    ]
    return "## How visible a mark is\n\n" + table(["photo", "size", *columns], rows)


def _cost(found: Document) -> str:
    columns: dict[str, tuple[str, int]] = {
        "megapixels": ("megapixels", 1),
        "copies": ("copies", 0),
        "marking, s": ("mark_s", 2),
        "encoding alone, s": ("encode_s", 2),
        "ratio": ("mark_over_encode", 2),
        "ratio of processor times": ("mark_cpu_over_encode", 2),
        "one trace, s": ("trace_s", 2),
        "peak memory, MB": ("peak_mb", 0),
    }
    rows = [
        [r["photo"], *(_digits(r[key], d) for key, d in columns.values())] for r in found["rows"]
    ]
    return "## Time and memory\n\n" + table(["photo", *columns], rows)


def _share_text(one: Document) -> str:
    if not one["leaks"]:
        return ""
    return f"{one['right']} of {one['leaks']} ({100 * one['right'] / one['leaks']:.1f} %)"


def _cell(one: Document | None) -> str:
    if one is None:
        return ""
    return f"{one['right']}/{one['leaks']}; {one['lowest']:.0f}/{one['median']:.0f}"


def _digits(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
