"""Clients of a gate that is killed, and the right decisions about uploads of pictures.

A story is about one picture. It consists of the steps that a person, an uploader or a reviewer
takes, one after the other. A step is in doubt until the gate has confirmed it: the gate may have
done it or not. The client repeats such a step, as a device does, or gives the story up. At any time
there are one or two right decisions about an upload of the picture.
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
IMAGE_SIDE_PX: Final = 256
_BLOBS_PER_SIDE: Final = 12  # gives the picture enough detail for a registration
_BUSY_STATUSES: Final = (429, 503)


def expected_decision(steps: Sequence[str]) -> str:
    """Return the right decision about an upload of a story's picture after ``steps``."""
    live = set[str]()
    for step in steps:
        match step.split():
            case ["claim", holder, *_]:
                live.add(holder)
            case ["withdraw", holder]:
                live.discard(holder)
            case _:
                pass
    if not live or "release" in steps:
        return LET_THROUGH
    return REFUSE if "confirm" in steps else HOLD


@dataclass
class Story:
    """A picture, the steps of its story, the number of answered steps, and any step in doubt."""

    seed: int
    plot: tuple[str, ...]
    answered_step_count: int = 0
    step_in_doubt: str | None = None
    is_over: bool = False
    decision_by_case: dict[str, str] = field(default_factory=dict)

    @cached_property
    def holder_tokens(self) -> tuple[Secret, Secret]:
        """The tokens of the picture's two holders."""
        rng = random.Random(f"holders {self.seed}")
        return Secret(rng.randbytes(32)), Secret(rng.randbytes(32))

    @cached_property
    def jpeg(self) -> bytes:
        """The picture as a JPEG file. The seed determines the picture."""
        blobs = np.random.default_rng(self.seed).integers(
            0, 255, (_BLOBS_PER_SIDE, _BLOBS_PER_SIDE, 3), np.uint8
        )
        return _encode_jpeg(
            cv2.resize(blobs, (IMAGE_SIDE_PX, IMAGE_SIDE_PX), interpolation=cv2.INTER_CUBIC)
        )

    @property
    def upload_file(self) -> bytes:
        """The file to upload: a crop if the claim includes hashes of parts, else the picture."""
        if "claim 0 with windows" not in self.plot:
            return self.jpeg
        whole = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        return _encode_jpeg(whole[20:236, 14:240])

    @cached_property
    def bits(self) -> bytes:
        """The picture's perceptual hash."""
        return fingerprint(read_picture(self.jpeg)).bits

    @property
    def answered_steps(self) -> tuple[str, ...]:
        """The steps that the gate has answered."""
        return self.plot[: self.answered_step_count]

    @property
    def allowed_decisions(self) -> set[str]:
        """The one or two decisions that are right if the picture is uploaded now."""
        steps = self.answered_steps
        doubtful = (*steps, self.step_in_doubt) if self.step_in_doubt else steps
        return {expected_decision(steps), expected_decision(doubtful)}

    @property
    def registered_by_claim(self) -> dict[str, bool]:
        """For the name of each claim, whether the claim is still registered.

        A claim is left out while its registration or its withdrawal is in doubt.
        """
        found = dict[str, bool]()
        for step in self.answered_steps:
            match step.split():
                case ["claim", holder, *_]:
                    found[self.claim_name(holder)] = True
                case ["withdraw", holder]:
                    found[self.claim_name(holder)] = False
                case _:
                    pass
        if self.step_in_doubt and self.step_in_doubt.startswith("withdraw"):
            found.pop(self.claim_name(self.step_in_doubt.split()[1]))
        return found

    @property
    def case_to_look_back_at(self) -> str | None:
        """The case of the upload that was made before the claim. The comparison of
        earlier uploads with the new claim (a look-back) must find this case.

        The result is None if there is no such upload, or if no claim is known to be registered.
        """
        before = self.plot[0] == "upload" and self.answered_step_count >= 2
        return (
            next(iter(self.decision_by_case))
            if before and any(self.registered_by_claim.values())
            else None
        )

    def claim_name(self, holder: str) -> str:
        """Return the name of the claim of one of the holders, 0 or 1."""
        return claim_id_of(holder_token_hash(self.holder_tokens[int(holder)]))

    def registration_request(self, holder: str, *, windows: bool) -> bytes:
        """Return the body of the request with which a device registers the picture."""
        picture = read_picture(self.jpeg)
        parts = tuple(window_hashes(picture)) if windows else ()
        token_hash = holder_token_hash(self.holder_tokens[int(holder)])
        return write_registration_request(
            ClaimRequest(PicturePrint(fingerprint(picture), parts), token_hash)
        )


class StepNotDone(Exception):
    """Raised if the gate did not do a step, for example because it was busy."""


@dataclass
class Client:
    """A client that begins and continues stories at random, one step after the other."""

    number: int
    rng: random.Random
    operator_token: str = ""
    stories: list[Story] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answered_count: int = 0

    def run(self, url: str, stop_requested: threading.Event) -> None:
        """Take steps until the gate dies, or ``stop_requested`` is set."""
        with (
            httpx.Client(base_url=url, timeout=60, trust_env=False) as web,
            suppress(httpx.HTTPError),
        ):
            while not stop_requested.is_set():
                self.continue_story(self.choose_story(), web)

    def choose_story(self) -> Story:
        """Return an unfinished story, or a new one."""
        unfinished = [story for story in self.stories if not story.is_over]
        if unfinished and self.rng.random() < 0.75:
            return self.rng.choice(unfinished)
        seed = 100_000 * self.number + len(self.stories)
        self.stories.append(Story(seed, self.rng.choice(PLOTS)))
        return self.stories[-1]

    def continue_story(self, story: Story, web: httpx.Client) -> None:
        """Take the next step of a story, repeat the step in doubt, or give the story up."""
        if story.step_in_doubt is not None and self.rng.random() < 0.5:
            story.is_over = True
            return
        step, is_repeated = story.plot[story.answered_step_count], story.step_in_doubt is not None
        story.step_in_doubt = step
        with suppress(StepNotDone):
            self.take_step(story, step, web, is_repeated=is_repeated)
            story.step_in_doubt, story.answered_step_count = None, story.answered_step_count + 1
            self.answered_count += 1
        story.is_over = story.is_over or story.answered_step_count == len(story.plot)

    def take_step(self, story: Story, step: str, web: httpx.Client, *, is_repeated: bool) -> None:
        """Take a step. Raises httpx.HTTPError if the gate dies."""
        match step.split():
            case ["upload"]:
                self.upload(story, web)
            case ["claim", holder, *more]:
                body = story.registration_request(holder, windows=bool(more))
                kind = {"Content-Type": "application/json"}
                self.json_answer(web.post("/v1/claims", content=body, headers=kind), {201})
            case ["withdraw", holder]:
                token = to_base64url(story.holder_tokens[int(holder)].reveal())
                headers = {"Authorization": f"Bearer {token}"}
                self.json_answer(
                    web.delete(f"/v1/claims/{story.claim_name(holder)}", headers=headers), {200}
                )
            case [decision]:
                self.decide(story, decision, web, is_repeated=is_repeated)

    def decide(self, story: Story, decision: str, web: httpx.Client, *, is_repeated: bool) -> None:
        """Decide, as a reviewer, about the last upload that got the decision ``hold``."""
        held_cases = [case for case, found in story.decision_by_case.items() if found == HOLD]
        if not held_cases:  # ``upload`` has recorded the wrong decision as a fault
            story.is_over = True
            raise StepNotDone
        url, body = f"/v1/reviews/{held_cases[-1]}", {"decision": decision}
        answer = web.post(url, json=body, headers=self.operator_headers)
        # 409: the case was decided before.
        self.json_answer(answer, {200, 409} if is_repeated else {200})

    def upload(self, story: Story, web: httpx.Client) -> None:
        """Upload the story's file, and record a fault if the decision is wrong."""
        kind = {"Content-Type": "image/jpeg"}
        answer = web.post(
            "/v1/uploads", content=story.upload_file, headers=self.operator_headers | kind
        )
        decided = self.json_answer(answer, {200})
        decision = decided["decision"]
        if decision not in story.allowed_decisions:
            steps = f"{story.answered_steps}, {story.step_in_doubt}"
            self.faults.append(
                f"{steps}: {decision}, not {' or '.join(sorted(story.allowed_decisions))}"
            )
        story.decision_by_case[decided["case"]] = decision

    @property
    def operator_headers(self) -> dict[str, str]:
        """The headers that a platform's own server sends."""
        return {"Authorization": f"Bearer {self.operator_token}"}

    def json_answer(self, answer: httpx.Response, expected_statuses: set[int]) -> dict[str, Any]:
        """Return the answer's JSON object. Raise StepNotDone if the gate was busy. Record a fault
        and raise StepNotDone if the answer has another status than expected.
        """
        if answer.status_code in _BUSY_STATUSES:
            raise StepNotDone
        if answer.status_code not in expected_statuses:
            self.faults.append(f"{answer.request.url.path}: {answer.status_code}: {answer.text}")
            raise StepNotDone
        decided: dict[str, Any] = answer.json()
        return decided


def _encode_jpeg(pixels: Any) -> bytes:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return data.tobytes()
