"""How far a walk through a clip has come, by the time at which its frames are shown."""

from collections.abc import Callable, Iterable, Iterator

from entrenous.craft.align.timeline import Camera
from entrenous.model.clip import Cut, Frame
from entrenous.send.message.watch import Reached, share_of


def walked(cut: Cut, camera: Camera, reached: Reached) -> Callable[[float], None]:
    """Told when the next frame of a cut is shown, in seconds, it tells the share that is done."""
    start_s = max(cut.start_s, float(camera.times[0]))
    length_s = min(cut.stop_s, start_s + camera.length_s) - start_s
    return lambda at_s: reached(share_of(at_s - start_s, length_s))


def seen(frames: Iterable[Frame], walk: Callable[[float], None]) -> Iterator[Frame]:
    """The frames, each told as it comes."""
    for frame in frames:
        walk(frame.at_s)
        yield frame
