"""Text: the wording and the wrapping of docstrings."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codegen.facts import Argument

WIDTH = 110


def docstring(text: str, indent: int) -> str:
    """Text for inside a docstring whose lines are indented by so many columns; paragraphs are kept."""
    escaped = text.replace("\\", "\\\\").replace('"""', "'''")
    if escaped.endswith('"'):
        escaped += "."
    space = " " * indent
    wrapped = (
        textwrap.fill(paragraph, WIDTH - indent - 4, break_long_words=False, break_on_hyphens=False)
        for paragraph in escaped.split("\n\n")
    )
    return f"\n\n{space}".join(paragraph.replace("\n", f"\n{space}") for paragraph in wrapped)


def sentence(text: str) -> str:
    """Text with a capital first and a full stop last."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".")


def one_or_many(annotation: str) -> str:
    """`Sequence[X]` of a list parameter as what may be given: one, or several."""
    item = re.fullmatch(r"Sequence\[(.*)\]", annotation)
    assert item, annotation  # noqa: S101 - a list parameter is always a Sequence
    return f"{item[1]} | Iterable[{item[1]}]"


def explained(argument: Argument) -> str:
    """What a docstring says of an argument, its unit and its default."""
    parts: list[str] = []
    fixed = {
        "include": "Associations to load along; without, reading them raises `NotIncludedError`.",
        "optional_fields": "Fields that are left out unless named here.",
        "only": "Ids to fetch; those that are not visible are left out.",
        "page": "Page to begin with, from 1.",
        "per_page": "Objects a page, 200 at most.",
        "order": "Sort order.",
    }
    described = argument.description
    if argument.many:
        described = re.sub(r"^(Csv of|Comma-separated) (?=\w)", "", described)
    text = fixed.get(argument.name) or sentence(described)
    if argument.name == "order" and argument.description:
        text = sentence(argument.description)
    parts.append(text or sentence(argument.name.replace("_", " ")))
    if argument.kind == "datetime":
        parts.append("With a time zone.")
    if argument.name.endswith("_in_cents"):
        parts.append("In cents.")
    if argument.name == "per_page":
        parts.append("200 unless told otherwise.")
    elif argument.default is not None and argument.name != "page":
        parts.append(f"`{argument.default}` unless told otherwise.")
    if argument.many and argument.maximum and str(argument.maximum) not in text:
        parts.append(f"At most {argument.maximum}.")
    return " ".join(part for part in parts if part)
