"""The steps of the demonstration, from starting the servers to opening a case."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from PIL import Image

from entrenous.base.environment import SystemClock
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.demo.sample_photos import (
    file_metadata,
    load_recalled_photo,
    load_unrelated_photo,
    open_picture,
)
from entrenous.demo.stage import (
    DemoPerson,
    DemoState,
    StepOutcome,
    require_outcome,
    require_status,
    run_concurrently,
)
from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.nouns import GateUnreachable
from entrenous.trace.explain.wording import chance_in_digits

_HTTP_TIMEOUT_S = 60


def upload_to_gate(data: bytes, gate: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the gate's decision about a file, as the operator sees it; raises GateUnreachable."""
    url, token = gate["url"], Path(gate["operator_token_file"]).read_text()
    try:
        with new_relay_client() as client:
            answer = client.post(
                f"{url}/v1/uploads",
                files={"file": ("upload", data)},
                headers={"Authorization": f"Bearer {token}"},
                timeout=_HTTP_TIMEOUT_S,
            )
        answer.raise_for_status()
    except httpx.HTTPError as problem:
        raise GateUnreachable(url=url) from problem
    decision: dict[str, Any] = answer.json()
    return decision


KEPT_AREA_SHARE: Final = 0.70  # the share of the photo's area that the leaked crop keeps
# The share of the removed width that lies to the left of the crop, and of the removed height that
# lies above it.
_CROP_OFFSET_SHARES: Final = (0.55, 0.30)
_RESIZE_FACTOR: Final = 0.8
_JPEG_QUALITY: Final = 50


def make_leak(copy: bytes) -> bytes:
    """Return a leak of a copy. Like a screenshot, the leak is cropped (to 70 % of the area),
    resized, and compressed as a JPEG.
    """
    with open_picture(copy) as opened:
        picture = opened.convert("RGB")
    side = KEPT_AREA_SHARE**0.5
    width, height = round(side * picture.width), round(side * picture.height)
    left = round(_CROP_OFFSET_SHARES[0] * (picture.width - width))
    top = round(_CROP_OFFSET_SHARES[1] * (picture.height - height))
    cut = picture.crop((left, top, left + width, top + height))
    size = (round(_RESIZE_FACTOR * width), round(_RESIZE_FACTOR * height))
    file = io.BytesIO()
    cut.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


STOPPING_DECISIONS: Final = ("hold", "refuse")


def start_servers(story: DemoState) -> StepOutcome:
    """Step 1: start a relay, a platform's gate and a stamp authority, on free ports. The relay and
    the gate each have their own SQLite database.
    """
    folder, listen = story.stage.folder, ("--listen", "127.0.0.1:0")
    relay = ("entrenous", "relay", "run", "--data", str(folder / "relay"), *listen, "--json")
    gate = ("entrenous", "gate", "run", "--data", str(folder / "gate"), *listen, "--json")
    tsa = ("entrenous.demo.stamp_authority", "--dir", str(folder / "tsa"), *listen)
    relay_server, story.gate, story.authority = run_concurrently(
        partial(story.stage.start_server, "relay", *relay),
        partial(story.stage.start_server, "gate", *gate),
        partial(story.stage.start_server, "stamp authority", *tsa),
    )
    story.relay_url = str(relay_server["url"])
    return StepOutcome(
        "A relay and a platform's gate are running, each with a database of its own.",
        {"relay": story.relay_url, "gate": story.gate["url"]},
    )


def set_up_people(story: DemoState) -> StepOutcome:
    """Step 2: create Ana, Ben and Caro, each with an encrypted vault. Ana adds the others
    by link.
    """
    everybody = story.ana, story.ben, story.caro
    for result in run_concurrently(
        *(
            partial(person.run, "setup", "--name", person.name, "--relay", story.relay_url)
            for person in everybody
        )
    ):
        require_status(2, result)
    recipients = story.ben, story.caro
    invites = run_concurrently(
        *(partial(person.run, "invite", "--for", "ana", "--json") for person in recipients)
    )
    for person, invite in zip(recipients, invites, strict=True):
        link = str(require_status(2, invite)["link"])
        require_status(
            2, story.ana.run("person", "add", "-", "--as", person.name, "--json", typed=link)
        )
    vaults = [(person.home / "vault.db").read_bytes() for person in (story.ana, story.ben)]
    sealed = all(not vault.startswith(b"SQLite format 3") for vault in vaults)
    require_outcome(2, holds=sealed, failure="a vault is not encrypted")
    return StepOutcome("Ana, Ben and Caro have a vault each; Ana knows both by their links.")


def send_photo(story: DemoState) -> StepOutcome:
    """Step 3: Ana sends one photo to Ben and Caro.

    Each of them gets a marked copy without metadata, sealed for their device, and padded.
    """
    ana, to = story.ana, ("--to", "ben", "--to", "caro", "--confirm", "ben", "--confirm", "caro")
    sent = require_status(3, ana.run("send", str(story.photo), *to, "--json"))
    story.message = str(sent["message"])
    recipients = story.ben, story.caro
    files = run_concurrently(*(partial(_open_received, person, story) for person in recipients))
    for person, file in zip(recipients, files, strict=True):
        story.copies[person.name] = file
    metadata_before = dict(file_metadata(story.photo.read_bytes()))
    metadata_after = [file_metadata(copy.read_bytes()) for copy in story.copies.values()]
    require_outcome(
        3, holds=not any(metadata_after), failure=f"a copy still carries {metadata_after}"
    )
    different = len({copy.read_bytes() for copy in story.copies.values()}) == len(story.copies)
    require_outcome(3, holds=different, failure="two people got the same copy")
    position_note = (
        "its GPS position is gone" if "Place" in metadata_before else "it carried no GPS position"
    )
    return StepOutcome(
        f"Ana sent {story.message} to both; each opened a copy of their own; {position_note}.",
        {
            "message": story.message,
            "gps_in_original": "Place" in metadata_before,
            "gps_in_copies": False,
            "left_behind": metadata_before,
        },
    )


def register_photo(story: DemoState) -> StepOutcome:
    """Step 4: Ana registers the photo with the platform; only fingerprints leave her device."""
    command = ("protect", str(story.photo), "--gate", str(story.gate["url"]), "--json")
    claim = require_status(4, story.ana.run(*command))
    return StepOutcome(
        "Ana registered the photo with the platform; only fingerprints left her device.",
        {"claim": claim["claim"], "kind": claim["kind"], "state": claim["state"]},
    )


def leak_a_copy(story: DemoState) -> StepOutcome:
    """Step 5: Caro's copy leaks, and the gate stops it; an unrelated photo passes."""
    story.leak = story.out / "leak.jpg"
    story.leak.write_bytes(make_leak(story.copies["caro"].read_bytes()))
    story.decision = upload_to_gate(story.leak.read_bytes(), story.gate)
    other = upload_to_gate(load_unrelated_photo(), story.gate)
    require_outcome(
        5,
        holds=story.decision["decision"] in STOPPING_DECISIONS,
        failure="the leak went through the gate",
    )
    require_outcome(
        5, holds=other["decision"] == "let through", failure="an unrelated photo was stopped"
    )
    match = story.decision["matches"][0]
    verb = {"hold": "holds it for a person to look at", "refuse": "refuses it"}
    return StepOutcome(
        f"Caro's copy, cropped to {100 * KEPT_AREA_SHARE:.0f} %, is uploaded: the gate "
        f"{verb[story.decision['decision']]} (bank {match['bank']}, distance {match['distance']}, "
        f"{match['how']}); an unrelated photo passes.",
        {"decision": story.decision["decision"], "match": match, "unrelated": other["decision"]},
    )


def _open_received(person: DemoPerson, story: DemoState) -> Path:
    waiting = require_status(3, person.run("inbox", "--json"))["messages"]
    name = next(message["message"] for message in waiting if message["state"] == "waiting")
    out = str(story.out / f"{person.name}-received")
    files = require_status(3, person.run("open", str(name), "--out", out, "--json"))["files"]
    return Path(files[0])


SIGHTING_URL: Final = "https://example.org/a-page-where-ana-saw-it"
DEMO_ROUTE_ID: Final = "us-tida-removal"
_EXIT_REFUSED: Final = 3


def trace_leak(story: DemoState) -> StepOutcome:
    """Step 6: Ana traces the leaked file, and the trace names Caro's copy.

    For each copy, the trace states the chance that an innocent copy would fit at least as well.
    """
    story.trace = require_status(6, story.ana.run("trace", str(story.leak), "--json"))
    chance = story.trace["chance"]
    require_outcome(
        6, holds=story.trace["named"] == ["caro"], failure=f"named {story.trace['named']}"
    )
    require_outcome(
        6,
        holds=chance["caro"] <= FALSE_NAMING_CHANCE_MAX < chance["ben"],
        failure="the chances do not fit",
    )
    return StepOutcome(
        "Ana traces the leak: it is Caro's copy. The chance that an innocent copy fits at least as "
        f"well is {chance_in_digits(chance['caro'])}; for Ben's copy it is "
        f"{chance_in_digits(chance['ben'])}.",
        {"named": ["caro"], "chance": chance, "score": story.trace["score"]},
    )


def recall_second_message(story: DemoState) -> StepOutcome:
    """Step 7: Ana recalls a second message that Ben has not opened, so it can never be opened."""
    photo = story.out / "second-photo.jpg"
    photo.write_bytes(load_recalled_photo())
    sent = require_status(7, story.ana.run("send", str(photo), "--to", "ben", "--json"))
    second = str(sent["message"])
    waiting = require_status(7, story.ben.run("inbox", "--json"))["messages"]
    arrived = any(m["message"] == second and m["state"] == "waiting" for m in waiting)
    require_outcome(7, holds=arrived, failure="the second message did not arrive")
    require_status(7, story.ana.run("recall", second, "--json"))
    out = str(story.out / "never")
    first = story.ben.run("open", second, "--out", out, "--json")
    again = story.ben.run("open", second, "--out", out, "--json")
    require_status(7, first, status=_EXIT_REFUSED)
    require_status(7, again, status=_EXIT_REFUSED)
    require_outcome(7, holds=not (story.out / "never").exists(), failure="something was written")
    story.recall_words = first.words
    return StepOutcome(
        f"Ana took {second} back before Ben opened it; it cannot be opened any more.",
        {"message": second, "ben_reads": first.words},
    )


def open_demo_case(story: DemoState) -> StepOutcome:
    """Step 8: Ana opens a case from the trace.

    The case has a sighting, a stamp, a notice for one legal route, and the platform's deadline.
    """
    ana = story.ana
    number = str(story.trace["trace"])
    case_options = ("--adults", "--intimate", "--place", "US")
    opened = require_status(
        8, ana.run("case", "open", "--from-trace", number, *case_options, "--json")
    )
    name = str(opened["case"])
    sighting_options = ("--url", SIGHTING_URL, "--what", "the picture as it was found")
    require_status(8, ana.run("case", "add", name, str(story.leak), *sighting_options, "--json"))
    tsa = ("--authority", str(story.authority["url"]), "--ca", str(story.authority["ca"]))
    stamp = require_status(8, ana.run("evidence", "stamp", name, *tsa, "--json"))
    story.notice = require_status(
        8, ana.run("case", "notice", name, "--route", DEMO_ROUTE_ID, "--json")
    )
    drafted = require_status(8, ana.run("case", "show", name, "--json"))
    story.case = require_status(8, ana.run("case", "notice", name, "--sent", "1", "--json"))
    clock = story.case["deadlines"][0]
    _check_case(drafted, story)
    return StepOutcome(
        f"Ana opened {name}: the evidence is stamped ({stamp['at']}), a notice under the "
        f"{story.notice['law']} is drafted. Once she sends it, {clock['in_words']}.",
        {
            "case": name,
            "stamped_at": stamp["at"],
            "route": DEMO_ROUTE_ID,
            "due_at": clock["due_at"],
            "law": clock["law"],
            "provision": clock["provision"],
            "missing_in_notice": story.notice["missing"],
        },
    )


def _check_case(drafted: object, story: DemoState) -> None:
    clock = story.case["deadlines"][0]
    due_at = datetime.fromisoformat(str(clock["due_at"])).astimezone(UTC)
    hours = (due_at - SystemClock().now()).total_seconds() / 3600
    require_outcome(
        8, holds=47 < hours <= 48, failure=f"the platform's clock shows {hours:.1f} hours"
    )
    require_outcome(8, holds=story.case["stamps"] != [], failure="the evidence has no stamp")
    require_outcome(8, holds=bool(drafted), failure="the case cannot be shown")
