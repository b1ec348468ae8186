"""Hooks run in other people's servers and must not import heavy packages."""

import subprocess
import sys

import pytest

HEAVY_PACKAGES = (
    "cv2",
    "numpy",
    "scipy",
    "PIL",
    "av",
    "sqlalchemy",
    "cryptography",
    "starlette",
    "typer",
)
SETUP_CODE_BY_HOOK = {
    "django": "import django.conf; django.conf.settings.configure();",
    "synapse": "import sys, types;"
    "m = types.ModuleType('synapse.module_api'); m.NOT_SPAM = m.ModuleApi = 1;"
    "e = types.ModuleType('synapse.module_api.errors'); e.Codes = 1; e.ConfigError = ValueError;"
    "sys.modules |= {'synapse': types.ModuleType('synapse'), m.__name__: m, e.__name__: e};"
    "sys.modules['synapse.logging.context'] = None;",
}


@pytest.mark.real
@pytest.mark.parametrize("hook", ["django", "synapse", "wsgi", "asgi", "reverse_proxy"])
def test_hooks_import_no_heavy_packages(hook: str) -> None:
    program = (
        f"import sys; {SETUP_CODE_BY_HOOK.get(hook, '')}"
        "before = set(sys.modules);"
        f"import entrenous.connectors.{hook};"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert loaded.isdisjoint(HEAVY_PACKAGES)
