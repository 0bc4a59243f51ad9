"""What stops the generation, told with the file, the line and the part of it that is meant."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Generator

    Place = tuple[str | int, ...]

ROOT = Path(__file__).parents[1]
_WRONG_SHAPE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What reading raises where something is missing, null, or of another kind than it should be."""


class CodegenError(Exception):
    """The contract, a correction, a fact or a template is wrong; the message names it.

    Args:
        message: What is wrong, and what to do.
        place: The keys and indices that lead there in its file, such as `("paths", "/stories", "get")`.
        facts: Whether that file is `overrides/semantics.yaml` rather than the contract.
    """

    def __init__(self, message: str, place: Place = (), *, facts: bool = False) -> None:
        super().__init__(message)
        self.place = place
        self.facts = facts


@contextmanager
def reading(*place: str | int) -> Generator[None]:
    """Make every error inside name the part of the contract that was being read."""
    try:
        yield
    except CodegenError as error:
        error.place = error.place or place
        raise
    except _WRONG_SHAPE as error:
        raised = list(walk_tb(error.__traceback__))[-1]
        at = f"{Path(raised[0].f_code.co_filename).name}:{raised[1]}"
        msg = (
            f"{_named(place)} can't be read: something in it is missing, null or of another kind than expected; look at "
            f"it, and at what overrides/ says of it ({type(error).__name__}: {error}, in {at})"
        )
        raise CodegenError(msg, place) from error


@contextmanager
def of_file(path: Path, facts: Path | None = None) -> Generator[None]:
    """Put the file and, where it is known, the line before the message of an error inside.

    Args:
        path: What is being read.
        facts: What an error with `facts` is about instead.
    """
    try:
        yield
    except CodegenError as error:
        about = facts if facts is not None and error.facts else path
        line = _line(about, error.place) if error.place else None
        where = shown(about) + (f":{line}" if line else "")
        raise CodegenError(f"{where}: {error}") from error


def shown(path: Path) -> str:
    """A file as people of this repository call it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def _named(place: Place) -> str:
    match place:
        case ("paths", path, method, *_):
            return f"{str(method).upper()} {path}"
        case ("definitions", name):
            return f"definition {name}"
        case _:
            return " > ".join(str(part) for part in place)


def _line(path: Path, place: Place) -> int | None:
    """The line of a place in a YAML or JSON file, or of the innermost part of it that is there."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), loader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if place[0] == "definitions" and _child(node, "definitions")[0] is None:
        place = ("components", "schemas", *place[1:])
    line = None
    for part in place:
        mark, node = _child(node, part)
        line = mark or line
    return line


def _child(node: yaml.Node | None, part: str | int) -> tuple[int | None, yaml.Node | None]:
    """(line, node) of a key's value, or of a list's entry."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None, None
