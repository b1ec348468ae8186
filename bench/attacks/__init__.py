"""What people do to a picture before they pass it on: copies in, leaked files out.

`leak(name, rgb, rng)` makes the file that a leaker would upload. `CORE` are ordinary leaks, `HARD`
cost the leaker some of the picture, `OTHER` is the rest of the grid, `RUIN` spoils the picture,
`FAINT` all but silences the mark.
"""

from bench.attacks.catalogue import ATTACKS, CORE, FAINT, HARD, OTHER, RUIN, leak
from bench.attacks.kinds import Attack, Edit, Rgb

__all__ = ["ATTACKS", "CORE", "FAINT", "HARD", "OTHER", "RUIN", "Attack", "Edit", "Rgb", "leak"]
