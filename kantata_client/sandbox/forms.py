"""Form bodies, urlencoded or multipart, with nested names as in Rails (`story[title]`, `ids[]`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import parse_qsl

import attrs
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kantata_client._contract import Body, Parameter

DEEPEST = 32
"""Maximum nesting depth of a name."""


@attrs.frozen
class Part:
    """A file in a form."""

    filename: str
    content: bytes
    media_type: str


Pair: TypeAlias = "tuple[str, str | Part]"
"""A field of a form: its name and its value."""


class FormParser(ABC):
    """Parses a multipart body incrementally."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        self._header: tuple[bytearray, bytearray] = bytearray(), bytearray()
        self._headers: dict[str, str] = {}
        self._parser: MultipartParser | None = None
        self._ended = False
        if kind == b"multipart/form-data" and boundary:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_of_header,
                    "on_headers_finished": self._begin,
                    "on_part_data": lambda data, start, end: self.data(data[start:end]),
                    "on_end": self._end,
                },
            )

    def feed(self, piece: bytes) -> None:
        """Parse a piece of the body; ValueError if it is not a multipart form."""
        if self._parser is None:
            raise ValueError("it is not multipart/form-data with a boundary")
        self._parser.write(piece)

    @property
    def complete(self) -> bool:
        """Whether the form is complete."""
        return self._ended

    @abstractmethod
    def begin(self, name: str, filename: str | None, media_type: str) -> None:
        """Called at the start of a part."""

    @abstractmethod
    def data(self, piece: bytes) -> None:
        """Called with content of the current part."""

    def _end_of_header(self) -> None:
        name, value = self._header
        self._headers[name.decode().lower()] = value.decode()
        name.clear()
        value.clear()

    def _begin(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        filename = options.get(b"filename")
        kind = self._headers.get("content-type", "application/octet-stream")
        self.begin(options.get(b"name", b"").decode(), None if filename is None else filename.decode(), kind)

    def _end(self) -> None:
        self._ended = True


class _Reader(FormParser):
    """A small form, read as a whole."""

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self.parts: list[tuple[str, str | None, str, bytearray]] = []

    def begin(self, name: str, filename: str | None, media_type: str) -> None:
        self.parts.append((name, filename, media_type, bytearray()))

    def data(self, piece: bytes) -> None:
        self.parts[-1][3].extend(piece)


def multipart(content_type: str, body: bytes) -> list[Pair]:
    """The fields and files of a multipart body, in order; ValueError if it is not one."""
    reader = _Reader(content_type)
    reader.feed(body)
    if not reader.complete:
        raise ValueError("the form ends too early")
    return [
        (name, data.decode() if filename is None else Part(filename, bytes(data), kind))
        for name, filename, kind, data in reader.parts
    ]


def urlencoded(body: bytes) -> list[Pair]:
    """The fields of an urlencoded body, in order; ValueError if it is not one."""
    return list(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))


def nested(pairs: Iterable[Pair]) -> dict[str, Any]:
    """Turn fields with nested names into objects and arrays.

    `story[title]` is a property of an object, `ids[]` an item of an array. `stories[][title]` is a property of the last
    object in an array, or of a new one if the last has the property already.

    Raises:
        ValueError: A name is malformed, or two names contradict each other.
    """
    root: dict[str, Any] = {}
    for name, value in pairs:
        head, bracket, rest = name.partition("[")
        if not head or (bracket and not rest.endswith("]")):
            raise ValueError(f"the name {name!r} can't be read")
        path = [head, *(rest[:-1].split("][") if bracket else ())]
        if len(path) > DEEPEST:
            raise ValueError(f"the name {name[:40]!r}… is nested too deeply")
        _put(root, path, value, name)
    return root


def _put(target: dict[str, Any], path: list[str], value: str | Part, name: str) -> None:
    head, rest = path[0], path[1:]
    if not rest:
        target[head] = value
        return
    if rest[0]:
        child: dict[str, Any] = _same_shape(target.setdefault(head, {}), dict, name)
        _put(child, rest, value, name)
        return
    rows: list[Any] = _same_shape(target.setdefault(head, []), list, name)
    if len(rest) == 1:
        rows.append(value)
        return
    if not rows or not isinstance(rows[-1], dict) or _has(cast("dict[str, Any]", rows[-1]), rest[1:]):
        rows.append({})
    _put(cast("dict[str, Any]", rows[-1]), rest[1:], value, name)


def _same_shape(value: Any, shape: type, name: str) -> Any:
    """The value; ValueError if another field gave it a different shape."""
    if isinstance(value, shape):
        return value
    msg = f"{name!r} contradicts another field"
    raise ValueError(msg)


def _has(row: dict[str, Any], path: list[str]) -> bool:
    """Whether a row already has a value at a path; an array accepts more."""
    if path[0] not in row or (len(path) > 1 and path[1] == ""):
        return False
    return len(path) == 1 or not isinstance(row[path[0]], dict) or _has(row[path[0]], path[1:])


def typed(body: Mapping[str, Any], described: Body | None) -> dict[str, Any]:
    """Convert a nested form, whose values are all strings, to the types of the contract."""
    if described is None:
        return dict(body)
    if described.wrapper is None:
        return _fields(body, described.fields)
    made = dict(body)
    for key in filter(None, (described.wrapper, described.plural)):
        given = made.get(key)
        if isinstance(given, dict):
            made[key] = _fields(cast("dict[str, Any]", given), described.fields)
        elif isinstance(given, list):
            made[key] = [
                _fields(cast("dict[str, Any]", row), described.fields) if isinstance(row, dict) else row
                for row in cast("list[Any]", given)
            ]
    return made


def _fields(values: Mapping[str, Any], described: Mapping[str, Parameter]) -> dict[str, Any]:
    return {
        name: _value(value, described[name]) if name in described else value for name, value in values.items()
    }


def _value(value: Any, parameter: Parameter) -> Any:
    if parameter.many:
        if isinstance(value, str) and parameter.kind not in {"object", "string", "any"}:
            value = [word for word in value.split(",") if word.strip()]  # `ids=1,2` besides `ids[]=1&ids[]=2`
        if isinstance(value, list):
            return [_one(item, parameter) for item in cast("list[Any]", value)]
        return value
    return _one(value, parameter)


def _one(value: Any, parameter: Parameter) -> Any:
    if isinstance(value, dict):
        return _fields(cast("dict[str, Any]", value), parameter.fields or {})
    if not isinstance(value, str) or parameter.kind in {"string", "any", "file"}:
        return value
    text = value.strip()
    if not text:
        return None
    match parameter.kind:
        case "boolean":
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), value)
        case "integer" | "number":
            try:
                return int(text) if parameter.kind == "integer" else float(text)
            except ValueError:
                return value
        case _:
            return text
