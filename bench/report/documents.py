"""Write and read a run's results: JSON documents, and the page (README.md) made from them."""

import json
from pathlib import Path
from typing import Any, Final

from bench.report.tables import page

NAMES: Final = ("grid", "peers", "collusion", "null", "calibration", "copies", "cost")


def write_document(folder: Path, name: str, document: dict[str, Any]) -> None:
    """Write one document, and rewrite the page from all documents in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(f"{json.dumps(document, indent=1)}\n")
    (folder / "README.md").write_text(page(read_documents(folder)))


def read_documents(folder: Path) -> dict[str, Any]:
    """Return the documents in the folder, by name; missing ones are left out."""
    files = {name: folder / f"{name}.json" for name in NAMES}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
