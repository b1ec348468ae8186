"""Attacks: what people do to their copy of a picture before they leak it.

`leak(name, rgb, rng)` returns the file that a leaker would upload. Attacks in `CORE` are ordinary
leaks, those in `HARD` cost the leaker some of the picture, those in `RUIN` spoil it, and those in
`FAINT` leave the mark barely detectable. `OTHER` has the rest of the grid.
"""

from bench.attacks.catalogue import ATTACKS, CORE, FAINT, HARD, OTHER, RUIN, leak
from bench.attacks.kinds import Attack, Edit, Rgb

__all__ = ["ATTACKS", "CORE", "FAINT", "HARD", "OTHER", "RUIN", "Attack", "Edit", "Rgb", "leak"]
