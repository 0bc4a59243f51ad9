"""Markup: a publisher's Markdown and HTML as plain text, so that the phrases in it can be read."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|caption|col|colgroup|del|em|font|h[1-6]|hr|i|img|ins|mark|pre|q|s|section|small|span"
    r"|strong|sub|sup|table|t[dhr]|tbody|tfoot|thead|u|var)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
"""HTML that publishers write; `<custom_field_id>` is a placeholder, not a tag."""
_HTML_ROW = re.compile(r"\s*<tr(?:\s[^<>]*)?>(.*?)</tr>", re.DOTALL | re.IGNORECASE)
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u2010\u2011", "-"),
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        **dict.fromkeys("\u2018\u2019", "'"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0f", ""),
    }
)
_CODE = re.compile(r"(`+)(?=[^`])(.+?)(?<=[^`])\1(?!`)")
_QUOTED_CODE = re.compile(r"([\"'])(`[^`\n]+`)\1")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n?", re.MULTILINE)
_ESCAPED = re.compile(r"\\([\\*_{}\[\]()#+\-.!|<>~])")
_LINK = re.compile(r"!?\[([^\[\]]+)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = (
    re.compile(r"(\*\*\*|\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1", re.DOTALL),
    re.compile(r"(?<![\w*])(\*)(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![\w*])"),
    re.compile(r"(?<![\w_])(_)(?=[^\s_])([^\n]+?)(?<=[^\s_])_(?![\w_])"),
)
_BULLET = re.compile(
    r"^([ \t]*)(?:[*+\u2022\u2023\u25aa\u25cf\u25e6\u00b7]|\(?\d{1,2}[.)])[ \t]+", re.MULTILINE
)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_QUOTE = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_UNDERLINE = re.compile(r"\s*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?\s*")
_TYPES = frozenset({"type", "model", "class", "object", "kind", "resource", "target", "object type"})
"""Headers of table columns: what stands below is a type, ..."""
_VALUES = re.compile(r"(?:\w+ )?(?:values?|options?|choices?|orders?|status(?:es)?)", re.IGNORECASE)
"""... or a value, ..."""
_REMARKS = re.compile(
    r"(?:description|meaning|notes?|details?|remarks?|explanation|effect|comments?|what it means)?",
    re.IGNORECASE,
)
"""... or a remark."""


def plain(text: str) -> str:
    """Text without HTML, Markdown, links and typography.

    List items and rows of tables are lines that begin with a hyphen, code is in single backticks, headings end with a colon.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_TYPOGRAPHY)
    if "<" in text or "&" in text:
        text = _without_html(text).translate(_TYPOGRAPHY)
    if "\\" in text:
        text = text.replace("\\`", "`")
    text, restore = _code_aside(_FENCE.sub("", text))
    text = _ESCAPED.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    for each in _EMPHASIS:
        text = each.sub(lambda found: found[2], text)
    text = _HEADING.sub(
        lambda found: found[1] if found[1].endswith((":", ".")) else f"{found[1]}:", _QUOTE.sub("", text)
    )
    if "|" in text:
        text = _without_tables(text)
    text = _BULLET.sub(r"\1- ", text)
    text = _QUOTED_CODE.sub(r"\2", restore(text))
    return re.sub(r"[ \t]+\n", "\n", text).strip()


def _without_html(text: str) -> str:
    text = re.sub(r"</?(?:code|kbd|samp|tt)(?:\s[^<>]*)?>", "`", text)
    text = _HTML_ROW.sub(_table_row, text)
    text = re.sub(r"<(?:li|dt)(?:\s[^<>]*)?>\s*", "\n- ", text)
    text = re.sub(r"</dt>\s*<dd(?:\s[^<>]*)?>", " - ", text)
    text = re.sub(
        r"<br\s*/?>|</?(?:p|ul|ol|div|dl|dt|dd|table|tbody|thead|pre|blockquote|h[1-6])(?:\s[^<>]*)?>|</li>",
        "\n",
        text,
    )
    return html.unescape(_TAG.sub("", text))


def _table_row(found: re.Match[str]) -> str:
    """A row of an HTML table as one of Markdown."""
    cells = [" ".join(each.split()) for each in re.split(r"</?t[dh](?:\s[^<>]*)?>", found[1])]
    row = f"| {' | '.join(filter(None, cells))} |"
    return f"\n{row}\n|{' --- |' * row.count(' | ')} --- |" if "<th" in found[1].lower() else f"\n{row}"


def _code_aside(text: str) -> tuple[str, Callable[[str], str]]:
    """(the text with a mark for each piece of code, what puts the code back)."""
    pieces: list[str] = []

    def aside(found: re.Match[str]) -> str:
        pieces.append(found[2].strip() if len(found[1]) > 1 else found[2])
        return f"\ue000{len(pieces) - 1}\ue001"

    def restore(marked: str) -> str:
        return re.sub("\ue000(\\d+)\ue001", lambda found: f"`{pieces[int(found[1])]}`", marked)

    return _CODE.sub(aside, text), restore


def _without_tables(text: str) -> str:
    """Rows of tables as list items: `- first cell (type) - remark. Header: cell`."""
    lines = text.split("\n")
    kept: list[str] = []
    headers: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if "|" in line and _UNDERLINE.fullmatch(following):
            headers = [each.strip(" :*") for each in _cells(line)]
            kept += (
                [f"Valid {headers[0].lower().removeprefix('valid ')}:"]
                if _VALUES.fullmatch(headers[0])
                else []
            )
        elif headers and _UNDERLINE.fullmatch(line):
            continue
        elif line.lstrip().startswith("|") or (headers and "|" in line):
            kept.append(_row(_cells(line), headers))
        else:
            headers = []
            kept.append(line)
    return "\n".join(kept)


def _cells(line: str) -> list[str]:
    return [each.strip() for each in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _row(cells: list[str], headers: list[str]) -> str:
    row = f"- {cells[0]}"
    remarks: list[str] = []
    for number, cell in enumerate(cells[1:], 1):
        header = headers[number] if number < len(headers) else ""
        if not cell or cell in "-\u2013\u2014":
            continue
        if header.lower() in _TYPES:
            row += f" ({cell})"
        else:
            remarks.append(cell if _REMARKS.fullmatch(header) else f"{header}: {cell}")
    return f"{row} - {'. '.join(each.rstrip('.') for each in remarks)}" if remarks else row
