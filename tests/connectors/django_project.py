"""A small Django site that sends requests to itself and prints the answers as JSON.

Its arguments are a folder of uploads, the hook's settings as JSON, and the names of requests (if
none, it sends all).
"""
# ruff: noqa: E402 -- Django is set up before its models are imported

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
from django.conf import settings

FOLDER = Path(sys.argv[1])
HANDLER = "entrenous.connectors.django.GateUploadHandler"
MARKING = "entrenous.connectors.django.MarkingUploadHandler"
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "entrenous.connectors.django.with_account",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ENTRENOUS_GATE=json.loads(sys.argv[2]),
    MEDIA_ROOT=str(FOLDER / "media"),
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this test",
    USE_TZ=True,
)
django.setup()

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import load_handler
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.writer import MigrationWriter
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from entrenous.connectors import django as hook


class Post(models.Model):
    file = models.FileField(validators=[hook.GateValidator()])

    class Meta:
        app_label = "site"

    def __str__(self) -> str:
        return str(self.file)


class PostForm(forms.ModelForm):
    class Meta:
        model = Post
        fields = ("file",)


class MarkingForm(forms.Form):
    file = forms.FileField(validators=[hook.GateValidator(on_hold="mark")])


def post(request: HttpRequest) -> JsonResponse:
    form = PostForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": json.loads(form.errors.as_json())})
    said = form.instance.file.entrenous.verdict
    saved = form.save()
    assert Path(saved.file.path).read_bytes() == (FOLDER / request.GET["name"]).read_bytes()
    return JsonResponse({"saved": said})


def mark(request: HttpRequest) -> JsonResponse:
    form = MarkingForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": json.loads(form.errors.as_json())})
    return JsonResponse({"saved": form.cleaned_data["file"].entrenous.verdict})


def handle(request: HttpRequest, first: str) -> JsonResponse:
    names = [first, *settings.FILE_UPLOAD_HANDLERS]
    request.upload_handlers = [load_handler(name, request) for name in names]
    files = list(request.FILES)
    return JsonResponse(
        {"files": files, "said": [one.verdict for one in request.entrenous["file"]]}
    )


urlpatterns = [
    path("post", post),
    path("mark", mark),
    path("handle", lambda request: handle(request, HANDLER)),
    path("handle-marking", lambda request: handle(request, MARKING)),
]


def ask(where: str, name: str, client: Client | None = None) -> Any:
    file = SimpleUploadedFile(f"{name}.jpg", (FOLDER / name).read_bytes(), "image/jpeg")
    sent = {"file": file, "words": "hello"}
    return (client or Client()).post(f"/{where}?name={name}", sent).json()


class RequestInLoop:
    """A request whose user needs a database query, which Django does not allow in a loop."""

    @property
    def user(self) -> object:
        raise SynchronousOnlyOperation


def accounts() -> dict[str, str | None]:
    """Return the account headers that the gate receives."""
    said: list[str | None] = []

    def note(request: Any) -> None:
        said.append(request.headers.get("entrenous-account"))

    hook.gate_client()._http.event_hooks = {"request": [note]}
    client = Client()
    ask("handle", "another", client)
    client.force_login(User.objects.create_user("ana"))
    ask("handle", "another", client)
    ask("post", "another", client)
    hook.gate_client()._http.event_hooks = {}
    assert hook._account_of_request(RequestInLoop()) == ""
    return {"nobody": said[0], "ana": said[1], "ana by the validator": said[2]}


def account_in_a_loop() -> list[str]:
    """Return the account that a validator finds during a request, and after it."""

    async def view(_: Any) -> str:
        return hook._account_of_request(hook._CURRENT_REQUEST.get())

    ana = SimpleNamespace(user=SimpleNamespace(pk=7), META={})
    inside = asyncio.run(hook.with_account(view)(ana))
    return [inside, hook._account_of_request(hook._CURRENT_REQUEST.get())]


def large() -> Any:
    limit = hook.gate_client().setting.upload_bytes_max
    (FOLDER / "large").write_bytes(b"\xff\xd8\xff" + bytes(limit))
    return ask("handle", "large")


ASKS: dict[str, Callable[[], Any]] = {
    **{
        f"validator {name}": partial(ask, "post", name)
        for name in ("hers", "waiting", "another", "text", "clip", "broken")
    },
    **{f"marking {name}": partial(ask, "mark", name) for name in ("hers", "waiting")},
    **{
        f"marking handler {name}": partial(ask, "handle-marking", name)
        for name in ("hers", "waiting")
    },
    **{
        f"handler {name}": partial(ask, "handle", name)
        for name in ("hers", "waiting", "another", "broken")
    },
    "handler large": large,
    "accounts": accounts,
    "account in a loop": account_in_a_loop,
    "migration": lambda: MigrationWriter.serialize(hook.GateValidator(on_hold="mark"))[0],
}


def main() -> None:
    if not sys.argv[3:]:
        call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Post)
    answers = {name: ASKS[name]() for name in sys.argv[3:] or ASKS}
    sys.stdout.write(json.dumps(answers) + "\n")


main()
