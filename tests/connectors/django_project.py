"""A small Django site that sends requests to itself and prints the answers as JSON.

The arguments are a folder of uploads, the hook's settings as JSON, and the names of requests.
Without names, all requests are sent.
"""
# ruff: noqa: E402 -- Django has to be set up before its models are imported

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

UPLOAD_FOLDER = Path(sys.argv[1])
HANDLER_PATH = "entrenous.connectors.django.GateUploadHandler"
MARKING_HANDLER_PATH = "entrenous.connectors.django.MarkingUploadHandler"
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
    MEDIA_ROOT=str(UPLOAD_FOLDER / "media"),
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


def save_post(request: HttpRequest) -> JsonResponse:
    form = PostForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": json.loads(form.errors.as_json())})
    verdict = form.instance.file.entrenous.verdict
    saved = form.save()
    assert Path(saved.file.path).read_bytes() == (UPLOAD_FOLDER / request.GET["name"]).read_bytes()
    return JsonResponse({"saved": verdict})


def validate_with_marking(request: HttpRequest) -> JsonResponse:
    form = MarkingForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": json.loads(form.errors.as_json())})
    return JsonResponse({"saved": form.cleaned_data["file"].entrenous.verdict})


def use_upload_handler(request: HttpRequest, handler_path: str) -> JsonResponse:
    handler_names = [handler_path, *settings.FILE_UPLOAD_HANDLERS]
    request.upload_handlers = [load_handler(name, request) for name in handler_names]
    files = list(request.FILES)
    return JsonResponse(
        {"files": files, "said": [one.verdict for one in request.entrenous["file"]]}
    )


urlpatterns = [
    path("post", save_post),
    path("mark", validate_with_marking),
    path("handle", lambda request: use_upload_handler(request, HANDLER_PATH)),
    path("handle-marking", lambda request: use_upload_handler(request, MARKING_HANDLER_PATH)),
]


def send_file(route: str, file_name: str, client: Client | None = None) -> Any:
    file = SimpleUploadedFile(
        f"{file_name}.jpg", (UPLOAD_FOLDER / file_name).read_bytes(), "image/jpeg"
    )
    sent = {"file": file, "words": "hello"}
    return (client or Client()).post(f"/{route}?name={file_name}", sent).json()


class RequestInEventLoop:
    """A request whose user needs a database query, which Django forbids in an event loop."""

    @property
    def user(self) -> object:
        raise SynchronousOnlyOperation


def collect_account_headers() -> dict[str, str | None]:
    """Return the account headers that three uploads send to the gate."""
    headers: list[str | None] = []

    def record_header(request: Any) -> None:
        headers.append(request.headers.get("entrenous-account"))

    hook.gate_client()._http.event_hooks = {"request": [record_header]}
    client = Client()
    send_file("handle", "another", client)
    client.force_login(User.objects.create_user("ana"))
    send_file("handle", "another", client)
    send_file("post", "another", client)
    hook.gate_client()._http.event_hooks = {}
    assert hook._account_of_request(RequestInEventLoop()) == ""
    return {"nobody": headers[0], "ana": headers[1], "ana by the validator": headers[2]}


def find_account_in_event_loop() -> list[str]:
    """Return the accounts that the hook finds in an asynchronous view and after the request."""

    async def view(_: Any) -> str:
        return hook._account_of_request(hook._CURRENT_REQUEST.get())

    request_of_ana = SimpleNamespace(user=SimpleNamespace(pk=7), META={})
    inside = asyncio.run(hook.with_account(view)(request_of_ana))
    return [inside, hook._account_of_request(hook._CURRENT_REQUEST.get())]


def send_large_file() -> Any:
    limit = hook.gate_client().setting.upload_bytes_max
    (UPLOAD_FOLDER / "large").write_bytes(b"\xff\xd8\xff" + bytes(limit))
    return send_file("handle", "large")


REQUESTS: dict[str, Callable[[], Any]] = {
    **{
        f"validator {name}": partial(send_file, "post", name)
        for name in ("hers", "waiting", "another", "text", "clip", "broken")
    },
    **{f"marking {name}": partial(send_file, "mark", name) for name in ("hers", "waiting")},
    **{
        f"marking handler {name}": partial(send_file, "handle-marking", name)
        for name in ("hers", "waiting")
    },
    **{
        f"handler {name}": partial(send_file, "handle", name)
        for name in ("hers", "waiting", "another", "broken")
    },
    "handler large": send_large_file,
    "accounts": collect_account_headers,
    "account in a loop": find_account_in_event_loop,
    "migration": lambda: MigrationWriter.serialize(hook.GateValidator(on_hold="mark"))[0],
}


def main() -> None:
    if not sys.argv[3:]:
        call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Post)
    answers = {name: REQUESTS[name]() for name in sys.argv[3:] or REQUESTS}
    sys.stdout.write(json.dumps(answers) + "\n")


main()
