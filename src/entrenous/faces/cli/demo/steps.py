"""The first half of the story: two servers, three people, one photo that leaks."""

from pathlib import Path
from typing import Final

from entrenous.faces.cli.demo.gate_visit import upload
from entrenous.faces.cli.demo.leak import KEPT, leak
from entrenous.faces.cli.demo.photo import carried, unrelated_photo
from entrenous.faces.cli.demo.stage import Actor
from entrenous.faces.cli.demo.story import Outcome, Story, done, should

STOPPED: Final = ("hold", "refuse")


def start_servers(story: Story) -> Outcome:
    """1: a relay and a platform's gate, each with its own SQLite database, on free ports."""
    folder, listen = story.stage.folder, ("--listen", "127.0.0.1:0")
    relay = ("entrenous", "relay", "run", "--data", str(folder / "relay"), *listen, "--json")
    gate = ("entrenous", "gate", "run", "--data", str(folder / "gate"), *listen, "--json")
    tsa = ("entrenous.adapters.local_tsa", "--dir", str(folder / "tsa"), *listen)
    story.relay_url = str(story.stage.serve("relay", *relay)["url"])
    story.gate = story.stage.serve("gate", *gate)
    story.authority = story.stage.serve("stamp authority", *tsa)
    return Outcome(
        "A relay and a platform's gate are running, each with a database of its own.",
        {"relay": story.relay_url, "gate": story.gate["url"]},
    )


def set_up_people(story: Story) -> Outcome:
    """2: Ana, Ben and Caro, each with an encrypted vault of their own; Ana adds both by link."""
    for person in (story.ana, story.ben, story.caro):
        done(2, person.does("setup", "--name", person.name, "--relay", story.relay_url))
    for person in (story.ben, story.caro):
        link = str(done(2, person.does("invite", "--for", "ana", "--json"))["link"])
        done(2, story.ana.does("person", "add", "-", "--as", person.name, "--json", typed=link))
    vaults = [(person.home / "vault.db").read_bytes() for person in (story.ana, story.ben)]
    sealed = all(not vault.startswith(b"SQLite format 3") for vault in vaults)
    should(2, hold=sealed, what="a vault is not encrypted")
    return Outcome("Ana, Ben and Caro have a vault each; Ana knows both by their links.")


def send_photo(story: Story) -> Outcome:
    """3: one photo to both; metadata stripped, a marked copy each, sealed per device, padded."""
    ana, to = story.ana, ("--to", "ben", "--to", "caro", "--confirm", "ben", "--confirm", "caro")
    sent = done(3, ana.does("send", str(story.photo), *to, "--json"))
    story.message = str(sent["message"])
    for person in (story.ben, story.caro):
        story.copies[person.name] = _opened(person, story)
    before = dict(carried(story.photo.read_bytes()))
    after = [carried(copy.read_bytes()) for copy in story.copies.values()]
    should(3, hold=not any(after), what=f"a copy still carries {after}")
    different = len({copy.read_bytes() for copy in story.copies.values()}) == len(story.copies)
    should(3, hold=different, what="two people got the same copy")
    gone = "its GPS position is gone" if "Place" in before else "it carried no GPS position"
    return Outcome(
        f"Ana sent {story.message} to both; each opened a copy of their own; {gone}.",
        {
            "message": story.message,
            "gps_in_original": "Place" in before,
            "gps_in_copies": False,
            "left_behind": before,
        },
    )


def register_photo(story: Story) -> Outcome:
    """4: Ana registers the photo with the platform; only fingerprints leave her device."""
    command = ("protect", str(story.photo), "--gate", str(story.gate["url"]), "--json")
    claim = done(4, story.ana.does(*command))
    return Outcome(
        "Ana registered the photo with the platform; only fingerprints left her device.",
        {"claim": claim["claim"], "kind": claim["kind"], "state": claim["state"]},
    )


def leak_a_copy(story: Story) -> Outcome:
    """5: Caro's copy leaks; the gate stops it and says which bank and distance; another passes."""
    story.leak = story.out / "leak.jpg"
    story.leak.write_bytes(leak(story.copies["caro"].read_bytes()))
    story.decision = upload(story.leak.read_bytes(), story.gate)
    other = upload(unrelated_photo(), story.gate)
    should(5, hold=story.decision["decision"] in STOPPED, what="the leak went through the gate")
    should(5, hold=other["decision"] == "let through", what="an unrelated photo was stopped")
    match = story.decision["matches"][0]
    verb = {"hold": "holds it for a person to look at", "refuse": "refuses it"}
    return Outcome(
        f"Caro's copy, cropped to {100 * KEPT:.0f} %, is uploaded: the gate "
        f"{verb[story.decision['decision']]} (bank {match['bank']}, distance {match['distance']}, "
        f"{match['how']}); an unrelated photo passes.",
        {"decision": story.decision["decision"], "match": match, "unrelated": other["decision"]},
    )


def _opened(person: Actor, story: Story) -> Path:
    waiting = done(3, person.does("inbox", "--json"))["messages"]
    name = next(message["message"] for message in waiting if message["state"] == "waiting")
    out = str(story.out / f"{person.name}-received")
    files = done(3, person.does("open", str(name), "--out", out, "--json"))["files"]
    return Path(files[0])
