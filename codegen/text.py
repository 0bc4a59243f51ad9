"""Text: the wording and the wrapping of docstrings."""

from __future__ import annotations

import re
import textwrap

WIDTH = 110


def docstring(text: str, indent: int) -> str:
    """Text for inside a docstring whose lines are indented by so many columns.

    Paragraphs are kept, and filled, unless lines in them are indented: these are kept too, and continued one step deeper.
    """
    escaped = text.replace("\\", "\\\\").replace('"""', "'''")
    if escaped.endswith('"'):
        escaped += "."
    space = " " * indent
    wrapped = (_wrapped(paragraph, WIDTH - indent - 4) for paragraph in escaped.split("\n\n"))
    return f"\n\n{space}".join(paragraph.replace("\n", f"\n{space}") for paragraph in wrapped)


def _wrapped(paragraph: str, width: int) -> str:
    if "\n    " not in paragraph:
        return textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(
        textwrap.fill(
            line.strip(),
            width,
            initial_indent=" " * _indent(line),
            subsequent_indent=" " * (_indent(line) + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in paragraph.split("\n")
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def sentence(text: str) -> str:
    """Text with a capital first, unless that is part of a wire name such as `ids_to_add`, and a full stop last."""
    text = text.strip()
    if not text:
        return text
    named = "_" in text.split()[0]
    return (
        (text[0] if named else text[0].upper())
        + text[1:]
        + ("" if text.endswith((".", "!", "?", ":")) else ".")
    )


def one_or_many(annotation: str) -> str:
    """`Sequence[X]` of a list parameter as the annotation of one or several values."""
    item = re.fullmatch(r"Sequence\[(.*)\]", annotation)
    assert item, annotation  # noqa: S101 - a list parameter is always a Sequence
    return f"{item[1]} | Iterable[{item[1]}]"
