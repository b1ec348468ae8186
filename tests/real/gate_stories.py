"""What clients do at a gate that is killed, and how it must decide about each picture afterwards.

A story is about one picture: the steps that a person, an uploader or a reviewer takes, one after
the other. A step that was answered is sure. A step without an answer is in doubt: it may have
happened or not. The client repeats it, as a device does, or gives the story up. So at any time
there are one or two right decisions about an upload of that picture.
"""

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import cv2
import httpx
import numpy as np

from entrenous.base.secret import Secret
from entrenous.fingerprint.crops import window_hashes
from entrenous.fingerprint.nouns import PicturePrint
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.registration import ClaimRequest, claim_id_of, holder_token_hash
from entrenous.stop.registration_format import write_registration_request
from entrenous.wire.encodings import to_base64url

LET_THROUGH, HOLD, REFUSE = "let through", "hold", "refuse"
PLOTS: Final[tuple[tuple[str, ...], ...]] = (
    ("claim 0", "upload", "withdraw 0", "upload"),
    ("claim 0", "claim 1", "withdraw 0", "upload", "withdraw 1", "upload"),
    ("claim 0 with windows", "upload", "withdraw 0", "upload"),
    ("claim 0", "upload", "confirm", "upload", "withdraw 0", "upload"),
    ("claim 0", "upload", "release", "upload"),
    ("upload", "claim 0", "upload"),
    ("upload", "claim 0", "withdraw 0", "upload"),
)
SIDE: Final = 256
_GRID: Final = 12  # blobs on a side: enough detail to be registered
_BUSY: Final = (429, 503)


def expected_decision(steps: Sequence[str]) -> str:
    """Return the right decision about an upload of a story's picture after these steps."""
    live = set[str]()
    for step in steps:
        match step.split():
            case ["claim", which, *_]:
                live.add(which)
            case ["withdraw", which]:
                live.discard(which)
            case _:
                pass
    if not live or "release" in steps:
        return LET_THROUGH
    return REFUSE if "confirm" in steps else HOLD


@dataclass
class Story:
    """A picture, the steps that are sure to have happened, and the one that may have."""

    seed: int
    plot: tuple[str, ...]
    done: int = 0
    step_in_doubt: str | None = None
    over: bool = False
    cases: dict[str, str] = field(default_factory=dict)  # decisions by case

    @cached_property
    def tokens(self) -> tuple[Secret, Secret]:
        """The tokens of the picture's two holders."""
        rng = random.Random(f"holders {self.seed}")
        return Secret(rng.randbytes(32)), Secret(rng.randbytes(32))

    @cached_property
    def jpeg(self) -> bytes:
        """The picture, which differs from those of all other stories."""
        blobs = np.random.default_rng(self.seed).integers(0, 255, (_GRID, _GRID, 3), np.uint8)
        return _jpeg(cv2.resize(blobs, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))

    @property
    def upload(self) -> bytes:
        """The file to upload: the picture, or a crop of it if hashes of windows are registered."""
        if "claim 0 with windows" not in self.plot:
            return self.jpeg
        whole = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        return _jpeg(whole[20:236, 14:240])

    @cached_property
    def bits(self) -> bytes:
        """The picture's perceptual hash."""
        return fingerprint(read_picture(self.jpeg)).bits

    @property
    def answered_steps(self) -> tuple[str, ...]:
        """The steps that were answered."""
        return self.plot[: self.done]

    @property
    def allowed(self) -> set[str]:
        """The right decisions about an upload of the picture now."""
        steps = self.answered_steps
        doubtful = (*steps, self.step_in_doubt) if self.step_in_doubt else steps
        return {expected_decision(steps), expected_decision(doubtful)}

    @property
    def claims(self) -> dict[str, bool]:
        """Whether each acknowledged claim is still registered, by name; without claims in doubt."""
        found = dict[str, bool]()
        for step in self.answered_steps:
            match step.split():
                case ["claim", which, *_]:
                    found[self.claim_name(which)] = True
                case ["withdraw", which]:
                    found[self.claim_name(which)] = False
                case _:
                    pass
        if self.step_in_doubt and self.step_in_doubt.startswith("withdraw"):
            found.pop(self.claim_name(self.step_in_doubt.split()[1]))
        return found

    @property
    def case_to_look_back_at(self) -> str | None:
        """The case that was let through before a claim that is still registered, if any. A
        look-back must find it.
        """
        before = self.plot[0] == "upload" and self.done >= 2
        return next(iter(self.cases)) if before and any(self.claims.values()) else None

    def claim_name(self, which: str) -> str:
        """Return the name of a claim."""
        return claim_id_of(holder_token_hash(self.tokens[int(which)]))

    def request(self, which: str, *, windows: bool) -> bytes:
        """Return the request by which a device registers the picture."""
        picture = read_picture(self.jpeg)
        parts = tuple(window_hashes(picture)) if windows else ()
        holder = holder_token_hash(self.tokens[int(which)])
        return write_registration_request(
            ClaimRequest(PicturePrint(fingerprint(picture), parts), holder)
        )


class StepNotDone(Exception):
    """The step was not done, for example because the gate was too busy."""


@dataclass
class Client:
    """A client that continues its stories at random, over one connection at a time."""

    number: int
    rng: random.Random
    operator: str = ""
    stories: list[Story] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answered_count: int = 0

    def run(self, url: str, ended: threading.Event) -> None:
        """Take steps until the gate dies, or ``ended`` is set."""
        with (
            httpx.Client(base_url=url, timeout=60, trust_env=False) as web,
            suppress(httpx.HTTPError),
        ):
            while not ended.is_set():
                self.continue_story(self.choose_story(), web)

    def choose_story(self) -> Story:
        """Return a story that is not over, or a new one."""
        unfinished = [story for story in self.stories if not story.over]
        if unfinished and self.rng.random() < 0.75:
            return self.rng.choice(unfinished)
        seed = 100_000 * self.number + len(self.stories)
        self.stories.append(Story(seed, self.rng.choice(PLOTS)))
        return self.stories[-1]

    def continue_story(self, story: Story, web: httpx.Client) -> None:
        """Take the next step of a story, or repeat the one in doubt, or give the story up."""
        if story.step_in_doubt is not None and self.rng.random() < 0.5:
            story.over = True
            return
        step, is_repeated = story.plot[story.done], story.step_in_doubt is not None
        story.step_in_doubt = step
        with suppress(StepNotDone):
            self.take_step(story, step, web, is_repeated=is_repeated)
            story.step_in_doubt, story.done = None, story.done + 1
            self.answered_count += 1
        story.over = story.over or story.done == len(story.plot)

    def take_step(self, story: Story, step: str, web: httpx.Client, *, is_repeated: bool) -> None:
        """Take a step; raises httpx.HTTPError if the gate dies."""
        match step.split():
            case ["upload"]:
                self.upload(story, web)
            case ["claim", which, *more]:
                body = story.request(which, windows=bool(more))
                kind = {"Content-Type": "application/json"}
                self.json_answer(web.post("/v1/claims", content=body, headers=kind), {201})
            case ["withdraw", which]:
                token = {
                    "Authorization": f"Bearer {to_base64url(story.tokens[int(which)].reveal())}"
                }
                self.json_answer(
                    web.delete(f"/v1/claims/{story.claim_name(which)}", headers=token), {200}
                )
            case [decision]:
                self.decide(story, decision, web, is_repeated=is_repeated)

    def decide(self, story: Story, decision: str, web: httpx.Client, *, is_repeated: bool) -> None:
        """Decide, as a reviewer, about the upload that was held last."""
        held_cases = [case for case, found in story.cases.items() if found == HOLD]
        if not held_cases:  # nothing was held, which is already recorded as a fault
            story.over = True
            raise StepNotDone
        url, body = f"/v1/reviews/{held_cases[-1]}", {"decision": decision}
        answer = web.post(url, json=body, headers=self.operator_headers)
        self.json_answer(answer, {200, 409} if is_repeated else {200})  # 409: it was decided before

    def upload(self, story: Story, web: httpx.Client) -> None:
        """Upload the picture, and record a fault if the decision is wrong."""
        kind = {"Content-Type": "image/jpeg"}
        answer = web.post("/v1/uploads", content=story.upload, headers=self.operator_headers | kind)
        decided = self.json_answer(answer, {200})
        decision = decided["decision"]
        if decision not in story.allowed:
            steps = f"{story.answered_steps}, {story.step_in_doubt}"
            self.faults.append(f"{steps}: {decision}, not {' or '.join(sorted(story.allowed))}")
        story.cases[decided["case"]] = decision

    @property
    def operator_headers(self) -> dict[str, str]:
        """The headers that a platform's own server sends."""
        return {"Authorization": f"Bearer {self.operator}"}

    def json_answer(self, answer: httpx.Response, wanted: set[int]) -> dict[str, Any]:
        """Return the answer's JSON object; record a fault if the status is not a wanted one."""
        if answer.status_code in _BUSY:
            raise StepNotDone
        if answer.status_code not in wanted:
            self.faults.append(f"{answer.request.url.path}: {answer.status_code}: {answer.text}")
            raise StepNotDone
        decided: dict[str, Any] = answer.json()
        return decided


def _jpeg(pixels: Any) -> bytes:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return data.tobytes()
