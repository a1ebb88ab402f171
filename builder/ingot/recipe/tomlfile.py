"""Reading TOML into typed data, with errors that name the line and guess what was meant."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ingot.errors import InputError

LIMIT = 1 << 20  # bytes; a recipe is a page, a lock a few
T = TypeVar("T", bound=BaseModel)
Keys = tuple[str | int, ...]

_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=\s*(.*)"""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def read_toml(path: Path, model: type[T], *, what: str) -> T:
    """The document at ``path`` as ``model``. ``what`` is how errors call it: "recipe".

    Raises InputError ``bad-recipe``: every problem on a line of its own, with the line's number.
    """
    text = _text(path, what)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(
            f"{path}: is not TOML: {error}", hint="see toml.io for the syntax", code=f"bad-{what}"
        ) from error
    try:
        return model.model_validate(_frozen(document))
    except ValidationError as error:
        raise _refused(path, text, model, error, what) from error


def _text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(LIMIT + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}",
            hint="'ingot init' writes one" if what == "recipe" else None,
            code=f"no-{what}",
        ) from error
    if len(raw) > LIMIT:
        raise InputError(f"{path}: is larger than {LIMIT} bytes", code=f"bad-{what}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text (at byte {error.start})", code=f"bad-{what}"
        ) from error


def _frozen(value: Any) -> Any:
    """Arrays as tuples, as strict models want them."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _refused(
    path: Path, text: str, model: type[BaseModel], error: ValidationError, what: str
) -> InputError:
    lines = dict(locations(text))
    said: dict[tuple[Keys, str], str] = {}
    for detail in error.errors(include_url=False):
        keys = _keys(detail, model)
        line = _line(lines, keys)
        where = f"{path}:{line}: " if line else f"{path}: "
        problem, parent = _problem(detail, keys, model)
        said.setdefault((parent, problem), where + problem)
    return InputError(
        "\n       ".join(said.values()),
        hint=f"docs/reference/{what}.md lists every key",
        code=f"bad-{what}",
    )


def _keys(detail: ErrorDetails, model: type[BaseModel]) -> Keys:
    """The path of keys in the file; pydantic's own has the branches of unions in it."""
    keys: list[str | int] = []
    table: Any = model
    for step in detail["loc"]:
        fields = _fields(table)
        if isinstance(step, int):
            keys.append(step)
        elif step in fields or (detail["type"] == "extra_forbidden" and step == detail["loc"][-1]):
            keys.append(step)
            table = fields.get(step)
        else:
            continue  # the name of a union's branch
    return tuple(keys)


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation such as ``tuple[Target, ...] | None`` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _tables(part)


def _fields(annotation: Any) -> dict[str, Any]:
    """Key -> annotation."""
    found: dict[str, Any] = {}
    for table in _tables(annotation):
        for name, field in table.model_fields.items():
            found[field.alias or name] = field.annotation
    return found


def _known(model: type[BaseModel], keys: Sequence[str | int]) -> list[str]:
    """The keys that the table at ``keys`` may have."""
    table: Any = model
    for key in keys:
        if isinstance(key, str):
            table = _fields(table).get(key)
    return list(_fields(table))


def _problem(detail: ErrorDetails, keys: Keys, model: type[BaseModel]) -> tuple[str, Keys]:
    """In our words, and the table concerned."""
    dotted = ".".join(str(key) for key in keys if isinstance(key, str)) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _known(model, keys[:-1])
        near = difflib.get_close_matches(str(keys[-1]), known, n=1, cutoff=0.6)
        meant = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(known))}"
        return f"there is no key '{dotted}': {meant}", keys
    if detail["type"] == "missing":
        return f"'{dotted}' is missing", keys
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"].endswith("_type") or detail["type"] == "model_type":
        message = f"is of the wrong type: {message[:1].lower()}{message[1:]}"
    else:
        message = f"{message[:1].lower()}{message[1:]}"
    return f"'{dotted}' {message}", keys


def _line(lines: dict[Keys, int], keys: Keys) -> int | None:
    """Of the key, or of the nearest table around it."""
    while keys:
        if keys in lines:
            return lines[keys]
        keys = keys[:-1]
    return None


def locations(text: str) -> Iterator[tuple[Keys, int]]:
    """(path of keys, number of the line) for every table and key that begins a line of ``text``,
    which is sound TOML.
    """
    table: Keys = ()
    counts: dict[Keys, int] = {}
    open_string, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if open_string or depth:
            open_string, depth = _continued(line, open_string, depth)
            continue
        header = _TABLE.fullmatch(line)
        if header:
            table = _inside(_split(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
            continue
        key = _KEY.fullmatch(line)
        if key:
            yield (*table, *_split(key[1])), number
            open_string, depth = _continued(key[2], "", 0)


def _split(dotted: str) -> Keys:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _inside(keys: Keys, counts: dict[Keys, int]) -> Keys:
    """With the number of the array's table that each part of ``keys`` is now in."""
    whole: Keys = ()
    for position, key in enumerate(keys):
        whole = (*whole, key)
        if whole in counts and position + 1 < len(keys):
            whole = (*whole, counts[whole])
    return whole


def _continued(line: str, open_string: str, depth: int) -> tuple[str, int]:
    """The multi-line string and the brackets that are still open at the end of ``line``."""
    at = 0
    while at < len(line):
        if open_string:
            if line[at] == "\\" and open_string[0] == '"':
                at += 2
                continue
            if line.startswith(open_string, at):
                at += len(open_string)
                open_string = ""
                continue
        elif line[at] == "#":
            break
        elif line[at] in "\"'":
            open_string = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
            at += len(open_string)
            continue
        else:
            depth += (line[at] in "[{") - (line[at] in "]}")
        at += 1
    return (open_string if len(open_string) == 3 else ""), depth
