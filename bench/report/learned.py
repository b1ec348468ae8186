"""What papers on learned watermarks claim. None of these methods was run here."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Claim:
    """A paper's own figures for its method, and where they are stated."""

    method: str
    says: str
    where: str


LEARNED_INTRO: Final = """### Learned watermarks, from their papers, not re-run

Their tables are of other photographs and other attacks, and count bits, not names. They are quoted
for reference only: no row can be compared with ours."""

CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        "StegaStamp (Tancik, Mildenhall, Ng 2020)",
        "100 bits, 56 after error correction; read from photographs of prints and of screens",
        "arXiv:1904.05343, abstract; its project page",
    ),
    Claim(
        "TrustMark (Bui, Agarwal, Collomosse 2023, 2025)",
        "100 raw bits; PSNR 43 to 45 dB (variant Q), 48 to 50 dB (P); its authors ship a remover",
        "arXiv:2311.18297; its CONFIG.md",
    ),
    Claim(
        "Watermark Anything (Sander et al. 2025)",
        "32 bits from parts of at most 10 % of a 256 x 256 picture, with less than one bit wrong",
        "arXiv:2411.07231, abstract",
    ),
    Claim(
        "Video Seal, Pixel Seal (Fernandez et al. 2024; Soucek et al. 2025)",
        "96 and 256 bits, read by a public network from single frames and pictures",
        "arXiv:2412.09492; arXiv:2512.16874",
    ),
    Claim(
        "against them: averaging (Yang et al. 2024)",
        "averaging marked pictures gives away, and removes, marks that do not adapt to content",
        "arXiv:2406.09026, abstract",
    ),
)
"""Each claim says only what can be read in the source that it names."""
