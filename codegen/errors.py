"""Errors: what stops the generation, with file, line and the part at fault; all errors are reported together."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs
import yaml

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    Place = tuple[str | int, ...]

ROOT = Path(__file__).parents[1]
_WRONG_SHAPE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What reading raises if something is missing, null, or of the wrong type."""


@attrs.frozen
class Proposal:
    """A line for `overrides/` that would settle an error."""

    section: str
    """A section of `semantics.yaml`, or `overlay` for an action of `overlay.yaml`."""
    key: str
    """The key in the section: an operation, or `definition.association`; the target of an action."""
    value: Any
    """Its value; for an action what is beside the target."""
    reason: str
    """What a person has to decide."""

    @property
    def text(self) -> str:
        """As `update` prints it."""
        return f"{self.section}: {self.key}: {self.reason}"


def action(place: Place, reason: str, **change: Any) -> Proposal:
    """A proposed action of the overlay on a place of the contract.

    Args:
        place: The keys that lead there; `query order` and the like name a parameter in a list.
        reason: What a person has to decide.
        change: What is beside the target: `update`, `remove`, `x_replace` or `x_was`.
    """
    target = "$"
    for part in place:
        words = str(part).split(" ", 1)
        if target.endswith("['parameters']") and len(words) == 2:
            target += f"[?@.name == {words[1]!r}]"
        else:
            escaped = str(part).replace("\\", "\\\\").replace("'", "\\'")
            target += f"['{escaped}']"
    return Proposal(
        "overlay", target, {key.replace("_", "-"): value for key, value in change.items()}, reason
    )


class CodegenError(Exception):
    """The contract, a correction, a fact or a template is wrong; the message names it.

    Args:
        message: What is wrong, and what to do.
        place: The keys and indices that lead there in its file, such as `("paths", "/stories", "get")`.
        facts: Whether that file is `overrides/semantics.yaml` rather than the contract.
        stale: Whether it is an override that the contract has made unnecessary.
        located: Whether the message begins with file and line already.
        proposals: Lines for `overrides/` that would settle it, in the most careful way.
        shape: Whether the place holds a value of the wrong kind, which may cause other errors around it.
        vague: Whether the error only says that something could not be read, and not what.
    """

    def __init__(
        self,
        message: str,
        place: Place = (),
        *,
        facts: bool = False,
        stale: bool = False,
        located: bool = False,
        proposals: Sequence[Proposal] = (),
        shape: bool = False,
        vague: bool = False,
    ) -> None:
        super().__init__(message)
        self.place = place
        self.facts = facts
        self.stale = stale
        self.located = located
        self.proposals = tuple(proposals)
        self.shape = shape
        self.vague = vague


@attrs.define
class _Collection:
    """The errors of one run, and the files that are being read."""

    messages: list[str] = attrs.field(factory=list[str])
    stale: list[str] | None = None
    """Where given, overrides that are no longer needed go here, and are not errors."""
    path: Path | None = None
    facts: Path | None = None
    proposals: list[Proposal] = attrs.field(factory=list["Proposal"])
    spoilt: set[Place] = attrs.field(factory=set["Place"])
    """Operations and definitions with a value of the wrong kind."""

    def add(self, error: CodegenError) -> None:
        if error.shape:
            self.spoilt.add(_surroundings(error.place))
        elif self.spoils(error):
            return
        self.proposals += error.proposals
        message = str(error) if error.located else _located(error, self.path, self.facts)
        if error.stale and self.stale is not None:
            self.stale.append(message)
        elif not (error.facts and self.messages) and message not in self.messages:
            # A fact that does not fit what is left of a faulty contract is not a separate fault.
            self.messages.append(message)

    def spoils(self, error: CodegenError) -> bool:
        """Whether a value of the wrong kind that has been reported may have caused this error."""
        at = _surroundings(error.place)
        return bool(self.spoilt) and (error.vague or at in self.spoilt or len(at) < 2)


def _surroundings(place: Place) -> Place:
    """The operation or definition around a place."""
    if place[:2] == ("components", "schemas"):
        place = ("definitions", *place[2:])
    return place[: 3 if place[:1] == ("paths",) else 2]


_COLLECTION: ContextVar[_Collection | None] = ContextVar("codegen errors", default=None)


@contextmanager
def collecting(stale: list[str] | None = None) -> Generator[None]:
    """Collect the errors that `guarded` meets inside, and raise them as one at the end.

    Args:
        stale: Takes the messages about overrides that are no longer needed; without it, these are errors too.

    Raises:
        CodegenError: Every error, one per line; the last is the one that ended the run, if it did.
    """
    collection = _Collection(stale=stale)
    token = _COLLECTION.set(collection)
    try:
        yield
    except CodegenError as error:
        if not collection.messages:
            raise
        if (
            error.located
            and not error.facts
            and not collection.spoils(error)
            and str(error) not in collection.messages
        ):
            collection.messages.append(str(error))
            collection.proposals += error.proposals
    finally:
        _COLLECTION.reset(token)
    if collection.messages:
        raise CodegenError("\n".join(collection.messages), located=True, proposals=collection.proposals)


def outdated(message: str, place: Place = (), *, facts: bool = False) -> None:
    """Report an override that is no longer needed or no longer fits: an error, unless the caller collects these.

    Raises:
        CodegenError: The caller does not collect them.
    """
    error = CodegenError(message, place, facts=facts, stale=True)
    collection = _COLLECTION.get()
    if collection is None or collection.stale is None:
        raise error
    collection.add(error)


@contextmanager
def guarded(*place: str | int) -> Generator[None]:
    """Like `reading`; inside `collecting`, an error is kept for the end, and the code after the block runs."""
    try:
        with reading(*place):
            yield
    except CodegenError as error:
        collection = _COLLECTION.get()
        if collection is None:
            raise
        collection.add(error)


@contextmanager
def reading(*place: str | int) -> Generator[None]:
    """Make every error inside name the part of the contract that was being read."""
    try:
        yield
    except CodegenError as error:
        error.place = error.place or place
        raise
    except RecursionError as error:
        msg = f"{_named(place)} can't be read: it is nested too deeply, or contains itself"
        raise CodegenError(msg, place, vague=True) from error
    except _WRONG_SHAPE as error:
        raised = list(walk_tb(error.__traceback__))[-1]
        at = f"{Path(raised[0].f_code.co_filename).name}:{raised[1]}"
        msg = (
            f"{_named(place)} can't be read: something in it is missing, null or of the wrong type; look at it, "
            f"and at what overrides/ says about it ({type(error).__name__}: {error}, in {at})"
        )
        raise CodegenError(msg, place, vague=True) from error


@contextmanager
def of_file(path: Path, facts: Path | None = None) -> Generator[None]:
    """Put the file and, where it is known, the line before the message of an error inside.

    Args:
        path: What is being read.
        facts: What an error with `facts` is about instead.
    """
    collection = _COLLECTION.get()
    before = (collection.path, collection.facts) if collection else None
    if collection:
        collection.path, collection.facts = path, facts
    try:
        yield
    except CodegenError as error:
        if error.located:
            raise
        message = _located(error, path, facts)
        raise CodegenError(
            message,
            error.place,
            facts=error.facts,
            stale=error.stale,
            located=True,
            proposals=error.proposals,
            shape=error.shape,
            vague=error.vague,
        ) from error
    finally:
        if collection and before:
            collection.path, collection.facts = before


def _located(error: CodegenError, path: Path | None, facts: Path | None) -> str:
    about = facts if facts is not None and error.facts else path
    if about is None:
        return str(error)
    line = _line(about, error.place) or 1
    return f"{shown(about)}:{line}: {error}"


def shown(path: Path) -> str:
    """A path relative to the repository, if the file is in it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def _named(place: Place) -> str:
    match place:
        case ("paths", path, method, *_):
            return f"{str(method).upper()} {path}"
        case ("definitions", name):
            return f"definition {name}"
        case _:
            return " > ".join(str(part) for part in place)


def parameter_place(parameter: Any) -> str:
    """What a parameter is called in a place: `query order`. Its index would change when parameters are sorted."""
    return f"{parameter.get('in')} {parameter.get('name')}"


def _line(path: Path, place: Place) -> int | None:
    """The line of a place in a YAML or JSON file, or of the innermost part of it that is there."""
    root = _composed(path)
    if root is None:
        return None
    line, node = None, root
    for part in place:
        mark, node = _descend(root, node, part)
        line = mark or line
    return line


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> yaml.Node | None:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.compose(text, loader)
    except (ValueError, yaml.YAMLError, RecursionError):
        return None


def _composed(path: Path) -> yaml.Node | None:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _descend(root: yaml.Node, node: yaml.Node | None, part: str | int) -> tuple[int | None, yaml.Node | None]:
    """(line, node) of a part, even where OpenAPI 3 or a reference has it in another place than Swagger 2.0."""
    for _ in range(8):  # a reference may lead to another one
        mark, child = _child(node, part)
        if mark is not None:
            return mark, child
        target = _child(node, "$ref")[1]
        if not isinstance(target, yaml.ScalarNode) or not str(target.value).startswith("#/"):
            break
        node = root
        for word in str(target.value)[2:].split("/"):
            node = _child(node, unquote(word).replace("~1", "/").replace("~0", "~"))[1]
    if part == "definitions":
        return _through(node, ("components", "schemas"))
    if part == "parameters" and (body := _child(node, "requestBody"))[0]:
        return body
    if isinstance(part, str) and part.startswith(("body ", "formData ")):
        return _schema_below(node if _child(node, "content")[0] else None)
    if part == "schema":
        return _schema_below(node)
    return (None, node) if part in ("schema", "parameters") else (None, None)


def _through(node: yaml.Node | None, parts: tuple[str, ...]) -> tuple[int | None, yaml.Node | None]:
    mark = None
    for part in parts:
        mark, node = _child(node, part)
    return mark, node


def _schema_below(node: yaml.Node | None) -> tuple[int | None, yaml.Node | None]:
    """The schema of the first media type of an OpenAPI 3 body or response."""
    mark, content = _child(node, "content")
    if isinstance(content, yaml.MappingNode) and content.value:
        found, schema = _child(content.value[0][1], "schema")
        return found or mark, schema
    return mark, node


def _child(node: yaml.Node | None, part: str | int) -> tuple[int | None, yaml.Node | None]:
    """(line, node) of a key's value, of a list's entry, or of the parameter of that name in a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    if isinstance(node, yaml.SequenceNode) and isinstance(part, str):
        for each in node.value:
            words = {word: getattr(_child(each, word)[1], "value", None) for word in ("in", "name")}
            if parameter_place(words) == part:
                return each.start_mark.line + 1, each
    return None, None
