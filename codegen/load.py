"""Load: YAML or JSON in, plain JSON data out, checked before anything relies on it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import yaml

from codegen.errors import CodegenError, of_file, shown
from codegen.shape import check_shape

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    _Base = yaml.SafeLoader
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one by libyaml is some ten times faster

_OPENAPI_3 = re.compile(r"3\.[01]\.\d+")


def load(path: Path) -> dict[str, Any]:
    """Read a contract.

    Args:
        path: A Swagger 2.0 or OpenAPI 3.0/3.1 document in one file, as YAML or JSON.

    Returns:
        The document as JSON data: keys are strings (responses too: `"200"`), dates are text.

    Raises:
        CodegenError: It can't be read, is not a contract, has a duplicate key, or a `$ref` leads nowhere.
    """
    document = load_data(path)
    with of_file(path):
        _check_dialect(document)
        if check_shape(document):
            check_references(document)
    return document


def _check_dialect(document: dict[str, Any]) -> None:
    swagger, openapi = document.get("swagger"), document.get("openapi")
    if swagger != "2.0" and not _OPENAPI_3.fullmatch(str(openapi)):
        said = (
            f"swagger: {swagger}"
            if swagger
            else f"openapi: {openapi}"
            if openapi
            else "neither swagger nor openapi"
        )
        msg = f"expected `swagger: '2.0'` or `openapi: 3.0.x or 3.1.x`, but it says {said}"
        raise CodegenError(msg, ("swagger",) if swagger else ("openapi",))
    if not isinstance(document.get("paths"), dict):
        msg = "the contract has no `paths`"
        raise CodegenError(msg, ("paths",))


def load_data(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file whose top is a mapping, by JSON's rules: string keys, no duplicates, no dates.

    Raises:
        CodegenError: It can't be read, or gives a key twice.
    """
    text = _text(path)
    begins = text.lstrip()[:1]
    try:
        # The loader is derived from the safe one.
        data = json.loads(text, object_pairs_hook=_object) if begins == "{" else yaml.load(text, _Loader)  # noqa: S506
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        line, problem = _fault(text, error)
        msg = f"{shown(path)}:{line}: can't be read: {problem}"
        raise CodegenError(msg, located=True) from error
    if not isinstance(data, dict):
        said = "it is empty" if data is None else "the top of the document is not a mapping"
        looks = "; it looks like a sign-in page" if "<html" in text[:2000].lower() else ""
        msg = f"{shown(path)}:1: {said}{looks}"
        raise CodegenError(msg, located=True)
    with of_file(path):
        _check_size(cast("Any", data))
    return cast("dict[str, Any]", data)


_BINARY = {
    b"\x1f\x8b": "it is compressed with gzip: unpack it",
    b"PK\x03\x04": "it is a zip archive: unpack it",
    b"BZh": "it is compressed with bzip2: unpack it",
    b"(\xb5/\xfd": "it is compressed with zstd: unpack it",
    b"%PDF": "it is a PDF file",
    b"\x89PNG": "it is an image",
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
}
"""What common files that are not UTF-8 text begin with → what to do about it."""


def _text(path: Path) -> str:
    """A file's text, without a byte order mark.

    Raises:
        CodegenError: It can't be read, is not UTF-8, or is XML or HTML.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        msg = f"{shown(path)}:1: can't be read: {problem}"
        raise CodegenError(msg, located=True) from error
    known = next((said for begin, said in _BINARY.items() if content.startswith(begin)), None)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f"{shown(path)}:{1 if known else line}: can't be read: {known or 'it is not UTF-8: save it as UTF-8'}"
        raise CodegenError(msg, located=True) from error
    known = known or ("it is UTF-16 or binary: save it as text in UTF-8" if "\0" in text[:1000] else None)
    if known:
        msg = f"{shown(path)}:1: can't be read: {known}"
        raise CodegenError(msg, located=True)
    start = text.lstrip()[:5].lower()
    if start[:1] == "<":
        what = "XML" if start == "<?xml" else "HTML"
        msg = (
            f"{shown(path)}:1: this is {what}, not a contract; it looks like a sign-in page: download the file while "
            "signed in, or use the other address"
        )
        raise CodegenError(msg, located=True)
    return text


def _fault(text: str, error: Exception) -> tuple[int, str]:
    """(line, problem) of a parser's error."""
    if isinstance(error, json.JSONDecodeError):
        comment = re.search(r"^\s*(?://|/\*)|[{,]\s*(?://|/\*)", text)
        return error.lineno, f"{error.msg} (JSON has no comments)" if comment else error.msg
    if isinstance(error, RecursionError):
        return 1, "it is nested too deeply"
    if isinstance(error, _TwiceError):
        return _line_of_second(text, error.key), str(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        problem = str(cast("object", error.problem)).replace("but found another", "there is another")
        return error.problem_mark.line + 1, problem
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, int(cast("Any", error).position)) + 1
        return line, "it has a control character, which YAML doesn't allow: remove it"
    if number := _LONG.search(text):
        return text.count("\n", 0, number.start()) + 1, f"a number has {len(number[0])} digits"
    return 1, str(error)


_LONG = re.compile(r"\d{4000,}")


def _line_of_second(text: str, key: str) -> int:
    """The line where a JSON object repeats a key, as YAML's parser reports it; 1 if it doesn't."""
    try:
        yaml.load(text, _Loader)  # noqa: S506 - derived from the safe one
    except yaml.MarkedYAMLError as error:
        if error.problem_mark and repr(key) in str(cast("object", error.problem)):
            return error.problem_mark.line + 1
    except (ValueError, yaml.YAMLError, RecursionError):
        pass
    return 1


class _TwiceError(ValueError):
    """A JSON object has the same key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key!r} is given twice in one object")
        self.key = key


_LARGEST = 3_000_000
"""Values in a document, once YAML's aliases are expanded; the contract has some 100,000."""
_DEEPEST = 200
_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair, with which JSON escapes a character above U+FFFF."""


def _check_size(data: Any) -> None:
    """Refuse documents that YAML's aliases make endless or huge.

    Raises:
        CodegenError: An anchor contains itself, the document is too deep or too large, or a text can't be encoded.
    """
    sizes: dict[int, int] = {}

    def check_text(text: str | int, at: tuple[str | int, ...]) -> None:
        if isinstance(text, str) and _HALF.search(text):
            msg = f"{place(at)}: {text!r:.60} has half of a surrogate pair, which UTF-8 can't encode: correct it"
            raise CodegenError(msg, at)

    def size(node: Any, above: tuple[int, ...], at: tuple[str | int, ...]) -> int:
        if isinstance(node, str):
            check_text(node, at)
        if not isinstance(node, dict | list):
            return 1
        key = id(cast("object", node))
        if key in above or len(above) > _DEEPEST:
            what = "contains itself by an alias" if key in above else "is nested too deeply"
            msg = f"{place(at[:4])} {what}"
            raise CodegenError(msg, at[:4])
        if key not in sizes:
            inner = (
                cast("dict[str, Any]", node).items()
                if isinstance(node, dict)
                else enumerate(cast("list[Any]", node))
            )
            sizes[key] = 1
            for name, value in inner:
                check_text(name, at)
                sizes[key] += size(value, (*above, key), (*at, name))
            if sizes[key] > _LARGEST:
                msg = f"{place(at[:4])} is too large once its aliases are expanded"
                raise CodegenError(msg, at[:4])
        return sizes[key]

    size(data, (), ())


def apart(node: Any) -> Any:
    """A deep copy without shared parts: YAML's aliases share them, and a change in one place would change the others."""
    if isinstance(node, dict):
        return {key: apart(value) for key, value in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [apart(value) for value in cast("list[Any]", node)]
    return node


def check_references(document: dict[str, Any]) -> None:
    """Follow every `$ref`.

    Raises:
        CodegenError: One leads nowhere, or out of the document; the message says where it stands.
    """
    checked: set[str] = set()
    for parts, target in _references(document, ()):
        if target in checked:
            continue
        if not target.startswith("#/"):
            msg = f"{place(parts)} refers to {target!r}, outside of this document: bundle the contract first"
            raise CodegenError(msg, parts)
        if follow(document, target) is None:
            msg = f"{place(parts)} refers to {target!r}, which the document does not have"
            raise CodegenError(msg, parts)
        checked.add(target)


def place(parts: tuple[str | int, ...]) -> str:
    """A place in the document, for people: `paths > /stories > get`."""
    return " > ".join(str(part) for part in parts)


def _references(node: Any, parts: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(node, dict):
        for key, value in cast("dict[str, Any]", node).items():
            if key == "$ref" and isinstance(value, str):
                yield parts, value
            else:
                yield from _references(value, (*parts, key))
    elif isinstance(node, list):
        for index, value in enumerate(cast("list[Any]", node)):
            yield from _references(value, (*parts, index))


def follow(document: dict[str, Any], target: str) -> Any:
    """What `#/a/b` refers to, or `None`."""
    node: Any = document
    for part in target[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = cast("dict[str, Any]", node)[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(cast("list[Any]", node)):
            node = cast("list[Any]", node)[int(key)]
        else:
            return None
    return node


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


class _Loader(_Base):
    """Safe YAML, cut down to what JSON can say."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)
        seen: set[str] = set()
        for key, _ in node.value:
            scalar = isinstance(key, yaml.ScalarNode)
            if not scalar or key.value in seen:
                problem = f"key {key.value!r} is given twice" if scalar else "a key must be a word"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
            key.tag = "tag:yaml.org,2002:str"  # as written: a status given as the number 200 is the key "200"
        return super().construct_mapping(node, deep=deep)


# Dates stay text, as JSON would have them.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}


def _not_json(_: _Loader, node: yaml.Node) -> Any:
    problem = (
        f"JSON has no equivalent of {str(node.tag).rpartition(':')[2]!r}: write a list, a mapping or a text"
    )
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


for _tag in ("set", "omap", "pairs", "binary"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _not_json)
