"""hatchling's build hook: writes the commit into what is built, where no git can be asked later."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PACKAGE = ROOT / "src" / "entrenous"


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the file that ``entrenous.base.program`` reads to a wheel and to an sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An editable install asks git; an sdist that is built again has the file already."""
        sys.path.insert(0, str(ROOT / "src"))
        from entrenous.base.program import COMMIT_FILE, commit_of  # noqa: PLC0415 - found only now

        if version == "editable" or (PACKAGE / COMMIT_FILE).exists():
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / COMMIT_FILE
        file.write_text(f"{commit_of(PACKAGE)}\n")
        inside = "entrenous" if self.target_name == "wheel" else "src/entrenous"
        build_data["force_include"][str(file)] = f"{inside}/{COMMIT_FILE}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The file is in the archive now."""
        del version, build_data, artifact_path
        if hasattr(self, "_folder"):
            self._folder.cleanup()
