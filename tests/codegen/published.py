"""Renderings of our contract in the published style: each fact in prose is worded in one of many ways, by chance.

For tests only. The sentences are ours, after the known patterns of the service's file.
"""

from __future__ import annotations

import copy
import random
import re
from typing import Any

from tests.codegen.phrases import (
    ASSOCIATIONS,
    BOUND,
    BULK,
    DEFAULTS,
    DEPRECATED,
    FIELDS,
    INTROS,
    KEYS,
    LISTS,
    MAXIMA,
    OPTIONAL,
    POLYMORPHIC,
    RATE,
    VALUES,
)

Json = dict[str, Any]


def published(contract: Json, seed: int = 0) -> Json:
    """The contract with every description in a publisher's words; facts that only a description has are kept."""
    document = copy.deepcopy(contract)
    words = _Words(seed)
    for name, definition in document.get("definitions", {}).items():
        if "description" in definition:
            definition["description"] = f"<b>{name}</b> objects, as the account sees them."
        _reword_properties(definition, words)
    for item in document["paths"].values():
        for operation in item.values():
            _reword_operation(operation, words)
    return document


class _Words:
    """A wording of each family, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def of(self, family: tuple[str, ...], **facts: object) -> str:
        return self.chance.choice(family).format(**facts)

    def joined(self, said: list[str]) -> str:
        """Sentences as a paragraph, and lists as paragraphs of their own."""
        text = ""
        for each in filter(None, said):
            apart = "\n" in each or "\n" in text.rpartition("\n\n")[2]
            stopped = text.endswith((".", "!", ">", ":"))
            text += ("\n\n" if apart else " " if stopped else ". ") * bool(text) + each
        return text


def _reword_operation(operation: Json, words: _Words) -> None:
    text = operation.get("description", "")
    said: list[str] = [
        "This endpoint returns structured objects, indexed by id below their <b>top-level</b> key."
    ]
    if match := re.search(r"(?:Takes|Deletes|Updates) up to (\d+) objects in one request", text):
        said.append(words.of(BULK, n=match[1], res="records"))
    if "own rate limit" in text:
        said.append(words.of(RATE))
    words.chance.shuffle(said)
    operation["description"] = words.joined(said)
    operation["operationId"] = f"{operation['operationId']} "
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            _reword_parameter(parameter, words)
        elif "schema" in parameter:
            _reword_properties(parameter["schema"], words)
    for response in operation["responses"].values():
        response["description"] = "A response in JSON."
        if "schema" in response:
            _reword_properties(response["schema"], words)


def _reword_parameter(parameter: Json, words: _Words) -> None:
    text, name = parameter.get("description", ""), parameter["name"]
    if name == "include":
        parameter["description"] = _include(text, words)
        return
    many = parameter["type"] == "string" and re.match(
        r"(?:Csv|Comma-separated)\b(?! file| geography)|.*\bcsv (?:or array|in URL)\b", text
    )
    said: list[str] = []
    what = name.replace("_", " ")
    if many:
        said.append(words.of(LISTS, what=what))
    if (many or name.endswith("ids")) and (most := re.search(r"(?:at most|max) (\d+)", text)):
        said.append(words.of(MAXIMA, n=most[1], what="ids"))
    if values := re.search(r"Valid values: ((?:`[^`]+`[^`.;]*)+)", text):
        said.append(_values(name, re.findall(r"`([^`]+)`", values[1]), words))
    if default := re.search(r"default (true|false)\.", text):
        said.append(words.of(DEFAULTS, d=default[1]))
    if "Deprecated." in text:
        said.append(words.of(DEPRECATED))
    parameter["description"] = words.joined(said) or f"Restricts the result by {what}."


def _include(text: str, words: _Words) -> str:
    """Associations in one style, as a publisher writes all of one operation."""
    style, key_style, field_style, polymorphic = (
        words.chance.choice(family) for family in (ASSOCIATIONS, KEYS, FIELDS, POLYMORPHIC)
    )
    lines = [words.of(INTROS)]
    for entry in text.split("\n")[1:]:
        match = re.match(r"- `(\w+)` \(([\w:]+)\)(?: - (.*))?", entry)
        assert match, entry
        name, kind, rest = match[1], match[2], match[3] or ""
        line = style.format(
            a=name, t=polymorphic if kind == "polymorphic" else kind, w=name.replace("_", " ")
        )
        field, key = re.search(r"referenced by `(\w+)`", rest), re.search(r"found under `(\w+)`", rest)
        more = [
            *([field_style.format(f=field[1])] if field else []),
            *([key_style.format(key=key[1])] if key else []),
        ]
        inside = line.removesuffix("</li>")
        ending = "\n" if inside == line else "</li>"
        if more:
            apart = " " if inside.rstrip().endswith((".", ">", "-")) else ". "
            inside = inside.rstrip() + apart + " ".join(more)
        lines.append(inside + ending)
    return "".join(lines)


def _values(name: str, values: list[str], words: _Words) -> str:
    family = VALUES if len(values) > 1 else tuple(each for each in VALUES if each.startswith("Valid values"))
    return words.of(family, name=name, **listed(values))


def listed(values: list[str]) -> dict[str, str]:
    """Values in the forms that the wordings in `VALUES` have blanks for."""
    ticked = [f"`{each}`" for each in values]
    simple = len(values) > 1 and all(re.fullmatch(r"[A-Za-z_]\w*(:\w+)?", each) for each in values)
    bare = values if simple else ticked
    code = [f"<code>{each}</code>" for each in values]
    single = ticked if any("'" in each for each in values) else [f"'{each}'" for each in values]

    def sentence(items: list[str], word: str) -> str:
        return (
            f"{', '.join(items[:-1])}{',' * (len(items) > 2)} {word} {items[-1]}"
            if len(items) > 1
            else items[0]
        )

    def lines(form: str) -> str:
        return "\n".join(form.format(each, number=number) for number, each in enumerate(ticked, 1))

    return {
        "or_": sentence(ticked, "or"),
        "and_": sentence(ticked, "and"),
        "comma": ", ".join(ticked),
        "slash": "/".join(ticked),
        "pipe": " | ".join(ticked),
        "semi": "; ".join(ticked),
        "bullets": lines("- {}"),
        "stars": lines("* {}"),
        "plus": lines("+ {}"),
        "numbered": lines("{number}. {}"),
        "dots": lines("\u2022 {}"),
        "brs": "<br>".join(ticked),
        "codes": ", ".join(code),
        "lis": "".join(f"<li>{each}</li>" for each in code),
        "lis_nl": "\n".join(f"  <li>{each}</li>" for each in ticked),
        "comma_plain": ", ".join(bare),
        "table": lines("| {} | Some meaning. |"),
        "table1": lines("|{}|"),
        "trs": "".join(f"<tr><td>{each}</td></tr>" for each in code),
        "plain_comma": ", ".join(bare),
        "plain_and": sentence(bare, "and"),
        "plain_or": sentence(bare, "or"),
        "dq": ", ".join(f'"{each}"' for each in values),
        "sq": ", ".join(single),
        "smart": ", ".join(f"\u201c{each}\u201d" for each in values),
        "dq_or": sentence([f'"{each}"' for each in values], "or"),
        "bold_or": sentence([f"**{each}**" for each in values] if simple else ticked, "or"),
        "bullets_expl": lines("- {} - the meaning of it"),
        "bullets_colon": lines("- {}: Some meaning of it."),
        "parens": f"({', '.join(ticked)})",
        "expl_paren": ", ".join(f"{each} (a meaning)" for each in ticked),
    }


def _reword_properties(schema: Any, words: _Words) -> None:
    if isinstance(schema, list):
        for each in schema:
            _reword_properties(each, words)
    if not isinstance(schema, dict):
        return
    for name, value in schema.get("properties", {}).items():
        text = value.get("description", "") if isinstance(value, dict) else ""
        if text:
            value["description"] = _property(name, text, words)
    for key, value in schema.items():
        if key == "properties":
            for each in value.values():
                _reword_properties(each, words)
        elif key in ("items", "additionalProperties", "schema"):
            _reword_properties(value, words)


def _property(name: str, text: str, words: _Words) -> str:
    said = [f"The {name.replace('_', ' ')} of it."]
    if bound := re.search(r"`include` names `(\w+)`", text):
        said.append(words.of(BOUND, f=name, a=bound[1]))
    if "optional_fields" in text:
        said.append(words.of(OPTIONAL))
    if values := re.search(r"Valid values: ((?:`[^`]+`[^`.;]*)+)", text):
        said.append(_values(name, re.findall(r"`([^`]+)`", values[1]), words))
    if "Deprecated." in text:
        said.append(words.of(DEPRECATED))
    return words.joined(said)
