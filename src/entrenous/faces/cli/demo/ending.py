"""The second half of the story: the trace, the take-back, the case."""

from datetime import UTC, datetime
from typing import Final

from entrenous.adapters.system import SystemClock
from entrenous.faces.cli.demo.photo import second_photo
from entrenous.faces.cli.demo.story import Outcome, Story, done, should
from entrenous.spec import ALPHA
from entrenous.trace.words import in_digits

PAGE: Final = "https://example.org/a-page-where-ana-saw-it"
ROUTE: Final = "us-tida-removal"
_REFUSED: Final = 3


def trace_leak(story: Story) -> Outcome:
    """6: Ana traces the leaked file; it names Caro's copy and tells both chances."""
    story.trace = done(6, story.ana.does("trace", str(story.leak), "--json"))
    chance = story.trace["chance"]
    should(6, hold=story.trace["named"] == ["caro"], what=f"named {story.trace['named']}")
    should(6, hold=chance["caro"] <= ALPHA < chance["ben"], what="the chances do not fit")
    return Outcome(
        "Ana traces the leak: it is Caro's copy. The chance that an innocent copy fits as well is "
        f"{in_digits(chance['caro'])}; for Ben's copy it is {in_digits(chance['ben'])}.",
        {"named": ["caro"], "chance": chance, "score": story.trace["score"]},
    )


def take_back(story: Story) -> Outcome:
    """7: Ana takes back a second message that Ben has not opened; it stays closed for good."""
    photo = story.out / "second-photo.jpg"
    photo.write_bytes(second_photo())
    sent = done(7, story.ana.does("send", str(photo), "--to", "ben", "--json"))
    second = str(sent["message"])
    waiting = done(7, story.ben.does("inbox", "--json"))["messages"]
    arrived = any(m["message"] == second and m["state"] == "waiting" for m in waiting)
    should(7, hold=arrived, what="the second message did not arrive")
    done(7, story.ana.does("recall", second, "--json"))
    out = str(story.out / "never")
    first = story.ben.does("open", second, "--out", out, "--json")
    again = story.ben.does("open", second, "--out", out, "--json")
    done(7, first, status=_REFUSED)
    done(7, again, status=_REFUSED)
    should(7, hold=not (story.out / "never").exists(), what="something was written")
    story.recall_words = first.words
    return Outcome(
        f"Ana took {second} back before Ben opened it; it cannot be opened any more.",
        {"message": second, "ben_reads": first.words},
    )


def open_case(story: Story) -> Outcome:
    """8: a case from the trace: a sighting, a stamp, one route, its notice, the platform's
    clock.
    """
    ana = story.ana
    number = str(story.trace["trace"])
    about = ("--adults", "--intimate", "--place", "US")
    opened = done(8, ana.does("case", "open", "--from-trace", number, *about, "--json"))
    name = str(opened["case"])
    kept = ("--url", PAGE, "--what", "the picture as it was found")
    done(8, ana.does("case", "add", name, str(story.leak), *kept, "--json"))
    tsa = ("--authority", str(story.authority["url"]), "--ca", str(story.authority["ca"]))
    stamp = done(8, ana.does("evidence", "stamp", name, *tsa, "--json"))
    story.notice = done(8, ana.does("case", "notice", name, "--route", ROUTE, "--json"))
    drafted = done(8, ana.does("case", "show", name, "--json"))
    story.case = done(8, ana.does("case", "notice", name, "--sent", "1", "--json"))
    clock = story.case["deadlines"][0]
    _check_case(drafted, story)
    return Outcome(
        f"Ana opened {name}: the evidence is stamped ({stamp['at']}), a notice under the "
        f"{story.notice['law']} is drafted. Once she sends it, {clock['in_words']}.",
        {
            "case": name,
            "stamped_at": stamp["at"],
            "route": ROUTE,
            "due_at": clock["due_at"],
            "law": clock["law"],
            "provision": clock["provision"],
            "missing_in_notice": story.notice["missing"],
        },
    )


def _check_case(drafted: object, story: Story) -> None:
    clock = story.case["deadlines"][0]
    due_at = datetime.fromisoformat(str(clock["due_at"])).astimezone(UTC)
    hours = (due_at - SystemClock().now()).total_seconds() / 3600
    should(8, hold=47 < hours <= 48, what=f"the platform's clock shows {hours:.1f} hours")
    should(8, hold=story.case["stamps"] != [], what="the evidence has no stamp")
    should(8, hold=bool(drafted), what="the case cannot be shown")
