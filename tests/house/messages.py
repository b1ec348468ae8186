"""Gather every sentence that people read, and write the catalogues in ``src/entrenous/locale``.

``python -m tests.house.messages`` (``make messages``) adds new sentences, removes those that are
gone, and prints how many sentences each language still lacks. It keeps existing translations.
"""

import ast
import inspect
import io
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from entrenous.base.errors import TRANSLATED_FACTS
from entrenous.base.language import ENGLISH, LANGUAGES
from entrenous.cli import COMMANDS, build_command_line
from entrenous.crypto.short_auth_string import SAS_EMOJI
from entrenous.learn.lesson import all_lessons
from entrenous.respond.law.deadlines import split_deadline_clauses
from entrenous.terminal.lazy_commands import load_command, split_paragraphs
from tests.house.sources import SOURCE, Source, pause_garbage_collector, sources

_WIDTH: Final = 100
_HEADER: Final = """\
# Entrenous in {name}. Sentences: make messages; how they are worded: docs/translating.md
msgid ""
msgstr ""
"Language: {tag}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
_NAMES: Final = {"es": "Spanish", "de": "German"}
_TEMPLATE_FUNCTIONS: Final[Mapping[str, tuple[int | tuple[int, str], ...] | None]] = {
    **dict.fromkeys(("_", "gettext")),
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}
_PLURAL_FUNCTIONS: Final = frozenset({"plural", "ngettext"})
_CODE_FUNCTIONS: Final = _PLURAL_FUNCTIONS | {"translated", "translatable", "gettext", "say"}
#: Modules whose errors are not translated, and why.
#: The text of wire/problem_details is not translated either.
ENGLISH_ERRORS: Final[Mapping[str, str]] = {
    "carry/": "read by those who run a relay",
    "connectors/": "read by those who run a platform",
    "demo/": "the demonstration is English as a whole",
    "serving/": "read by those who run a relay or a platform",
    "stop/audit.py": "read by those who run a gate",
    "stop/client/uploaded_files.py": "read by those who run a gate",
    "stop/commands/gate": "read by those who run a gate",
    "stop/exchange_nouns.py": "read by those who run a gate",
    "stop/http/": "read by those who run a gate, and by programs that upload",
    "stop/index/": "read by those who run a gate",
    "stop/nouns.py": "read by those who run a gate",
    "stop/upload_record.py": "read by those who run a gate",
}
#: For each file of shipped facts: the columns with texts that people read. A star in a path
#: matches every name.
FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "respond/facts/safety.toml": (
        *("question.*.asks", "question.*.why", "advice.*.title", "advice.*.steps.says"),
    ),
    "respond/facts/*-ladder.toml": (
        *("step.*.name", "step.*.says", "step.*.to", "step.*.words"),
        *("step.*.what", "step.*.caution"),  # people read these only in steps without "says"
        "police.*",
    ),
    "respond/facts/platforms.toml": (
        *("platform.*.first_step", "platform.*.in_app", "platform.*.other_channel"),
        *("platform.*.asks_for", "platform.*.receipt", "platform.*.time"),
        *("platform.generic_site.name", "platform.generic_host.name"),
    ),
    "respond/facts/help/*.toml": (
        *("contact.*.who", "contact.*.note", "contact.*.hours", "contact.*.phone"),
    ),
    "respond/facts/laws/*.toml": (
        *("route.*.addressee", "route.*.deadline_rule", "route.*.deadline_from"),
        *("route.*.escalation", "route.*.caution", "route.*.notice_need_not_contain"),
        *("route.eu-gdpr-33.notice_must_contain", "route.uk-gdpr-33.notice_must_contain"),
        "update.*.tell.says",
    ),
    "respond/facts/own-letters.toml": (
        *("route.*.law", "route.*.provision", "route.*.addressee", "route.*.escalation"),
        "route.*.caution",
    ),
    "respond/facts/counting.toml": (
        *("order.*.receipt", "order.*.silent", "order.*.silent_hours", "order.*.cite_asked"),
    ),
    "learn/questions.toml": (
        *("question.question", "question.why", "question.closes", "question.step"),
        *("question.undo", "question.answers.says"),
    ),
    "learn/facts/systems.toml": ("system.note",),
}

#: Column values that are not sentences, such as references to other routes, and durations.
_NOT_A_SENTENCE: Final = re.compile(
    r"[^a-zà-ÿ]*|[0-9-]+[A-Z-]+|as [a-z0-9-]+|none|authority|P[0-9DHMTWY]+"
)


#: Folders with templates outside the app.
_TEMPLATE_FOLDERS: Final = ("trace/explain", "learn/site", "send/http")


class FoundSentence(NamedTuple):
    """A sentence; ``many`` is the English plural form of a sentence with a count."""

    file: str
    one: str
    many: str = ""
    context: str = ""


@cache
def messages() -> tuple[FoundSentence, ...]:
    """Return every sentence that people read."""
    with pause_garbage_collector():
        return tuple(_messages(sources()))


def _messages(code: list[Source]) -> Iterator[FoundSentence]:
    pages = [page for folder in _TEMPLATE_FOLDERS for page in (SOURCE / folder).glob("*.j2")]
    for file in sorted((*SOURCE.rglob("*.html"), *pages)):
        yield from _template_sentences(file)
    for one in code:
        yield from _translated_literals(one)
    yield from _error_messages(code)
    yield from _error_arguments(code)
    yield from help_texts()
    for sign in SAS_EMOJI:
        yield FoundSentence("crypto/short_auth_string.py", sign.name)
    for pattern, columns in FACTS.items():
        for file in sorted(SOURCE.glob(pattern)):
            yield from _fact_sentences(file, columns)


def _template_sentences(file: Path) -> Iterator[FoundSentence]:
    """Yield the sentences of a template."""
    text, options = io.BytesIO(file.read_bytes()), {"silent": "false", "trimmed": "false"}
    for _, found, _, context in extract("jinja2", text, _TEMPLATE_FUNCTIONS, (), options):
        one, many = (found[0], found[1]) if isinstance(found, tuple) else (found, "")
        if one.strip():
            yield FoundSentence(_source_path(file), one, many, context or "")


def _translated_literals(code: Source) -> Iterator[FoundSentence]:
    """Yield the literals that code passes to functions such as translated and plural."""
    for node in code.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
        words = [one.value for one in node.args if isinstance(one, ast.Constant)]
        texts = [one for one in words if isinstance(one, str) and one.strip()]
        if name in _CODE_FUNCTIONS and texts:
            yield FoundSentence(
                _source_path(code.file), texts[0], texts[1] if name in _PLURAL_FUNCTIONS else ""
            )


def _error_messages(code: list[Source]) -> Iterator[FoundSentence]:
    """Yield the messages of errors (their docstrings), except messages that are not translated."""
    classes = [
        (file, node) for file, nodes in code for node in nodes if isinstance(node, ast.ClassDef)
    ]
    errors = _descendants([node for _, node in classes], "EntrenousError")
    for file, node in classes:
        where = _source_path(file)
        if node.name in errors and not _is_english(file):
            yield FoundSentence(
                where, " ".join(inspect.cleandoc(ast.get_docstring(node) or "").split())
            )


def help_texts() -> Iterator[FoundSentence]:
    """Yield the help texts of commands and options, but not of the commands for single lessons."""
    lessons = {one.name for one in all_lessons()}
    for paragraph in (
        *split_paragraphs(build_command_line().help),
        *(one.help for one in COMMANDS.values()),
    ):
        yield FoundSentence("cli.py", paragraph)
    for name, command in COMMANDS.items():
        waiting = [] if command.english else [load_command(name, command)]
        for one in waiting:
            below = getattr(one, "commands", {}).items()
            waiting += [each for key, each in below if not (name == "learn" and key in lessons)]
            for shown in (one, *one.params):
                for paragraph in filter(None, split_paragraphs(shown.help)):
                    yield FoundSentence(
                        f"{command.module.partition('.')[2].replace('.', '/')}.py", paragraph
                    )


def _error_arguments(code: list[Source]) -> Iterator[FoundSentence]:
    """Yield the sentences passed to errors, such as ``why="it was changed"``."""
    nodes = [(file, node) for file, nodes in code for node in nodes]
    classes = {node: file for file, node in nodes if isinstance(node, ast.ClassDef)}
    names = _descendants(list(classes), "EntrenousError")
    english = {one.name for one, file in classes.items() if _is_english(file)}
    for file, node in nodes:
        if isinstance(node, ast.Call) and not _is_english(file):
            name = getattr(node.func, "id", "")
            for given in node.keywords if name in names - english else ():
                words = getattr(given.value, "value", None)
                if given.arg in TRANSLATED_FACTS and isinstance(words, str) and words:
                    yield FoundSentence(_source_path(file), words)


def _is_english(file: Path) -> bool:
    return _source_path(file).startswith(tuple(ENGLISH_ERRORS))


def _descendants(classes: Iterable[ast.ClassDef], root: str) -> set[str]:
    """Return the names of a class and of its direct and indirect subclasses."""
    bases = dict[str, set[str]]()
    for one in classes:  # two classes may have the same name
        bases.setdefault(one.name, set()).update(
            base.id for base in one.bases if isinstance(base, ast.Name)
        )
    found, before = {root}, set[str]()
    while found != before:
        before = set(found)
        found |= {name for name, above in bases.items() if above & found}
    return found


def _fact_sentences(file: Path, columns: tuple[str, ...]) -> Iterator[FoundSentence]:
    table = tomllib.loads(file.read_text())
    for step in table.get("step", {}).values():
        if "says" in step:  # people read "says" instead of "what" and "caution"
            step.pop("what", None), step.pop("caution", None)
    for column in columns:
        for value in _values_at_path(table, column.split(".")):
            for part in (
                split_deadline_clauses(value) if column.endswith(".deadline_rule") else (value,)
            ):
                if not _NOT_A_SENTENCE.fullmatch(part):
                    yield FoundSentence(_source_path(file), part)


def _values_at_path(value: object, path: list[str]) -> Iterator[str]:
    """Yield the texts at a path in a table; a star in the path matches every key."""
    if isinstance(value, str) and not path:
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _values_at_path(part, path)
    elif isinstance(value, dict) and path:
        name, *rest = path
        for part in value.values() if name == "*" else [value.get(name)]:
            yield from _values_at_path(part, rest)


def _source_path(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def sentence_template() -> Catalog:
    """Return a catalogue of all sentences and their files, without translations."""
    made = Catalog()
    for one in messages():
        made.add(
            (one.one, one.many) if one.many else one.one,
            locations=[(one.file, 1)],
            context=one.context or None,
        )
    return made


def catalogue_file(tag: str) -> Path:
    return SOURCE / "locale" / tag / "LC_MESSAGES" / "entrenous.po"


def existing_catalogue(tag: str) -> Catalog:
    """Return the catalogue of a language as it is in the repository."""
    file = catalogue_file(tag)
    return read_po(io.BytesIO(file.read_bytes() if file.exists() else _header(tag)))


def _header(tag: str) -> bytes:
    return _HEADER.format(name=_NAMES[tag], tag=tag).encode()


def updated_catalogue(tag: str, wanted: Catalog) -> Catalog:
    """Return a language's catalogue with the wanted sentences and their existing translations."""
    made, before = read_po(io.BytesIO(_header(tag))), existing_catalogue(tag)
    for one in wanted:
        if one.id:
            old = before.get(one.id if isinstance(one.id, str) else one.id[0], one.context)
            fits = old is not None and old.pluralizable == one.pluralizable
            translation = old.string if old is not None and fits else None
            made.add(one.id, translation, locations=one.locations, context=one.context)
    return made


def catalogue_bytes(tag: str, catalogue: Catalog) -> bytes:
    out = io.BytesIO()
    write_po(
        out, catalogue, _WIDTH, omit_header=True, sort_by_file=True, ignore_obsolete=True,
        include_lineno=False,
    )  # fmt: skip
    return _header(tag) + out.getvalue().lstrip()


def is_translated(message: Message) -> bool:
    translation = message.string
    return (
        bool(translation)
        if isinstance(translation, str)
        else bool(translation) and all(translation)
    )


def main() -> int:
    """Write every catalogue, and print how many translations it lacks."""
    wanted = sentence_template()
    for tag in LANGUAGES:
        if tag != ENGLISH:
            made = updated_catalogue(tag, wanted)
            catalogue_file(tag).write_bytes(catalogue_bytes(tag, made))
            lacks = sum(not is_translated(one) for one in made if one.id)
            sys.stdout.write(f"{tag}: {len(made)} sentences, {lacks} to translate\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
