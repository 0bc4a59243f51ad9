"""Proposals: lines that settle what the compiler can't decide, written into `overrides/` for a person to look at."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codegen.errors import Proposal

MARK = "# proposed:"
"""Begins the comment on a proposed line."""


def write_proposals(proposals: Iterable[Proposal], overrides: Path) -> None:
    """Add proposals to `semantics.yaml` and `overlay.yaml`, each with a comment that says what to decide.

    Args:
        proposals: What to add; the files keep their other lines and comments.
        overrides: Their folder.
    """
    semantics, overlay = overrides / "semantics.yaml", overrides / "overlay.yaml"
    facts, actions = semantics.read_text(encoding="utf-8"), overlay.read_text(encoding="utf-8")
    for proposal in {each.text: each for each in proposals}.values():
        if proposal.section == "overlay":
            actions = actions.rstrip("\n") + "\n" + _action(proposal)
        elif proposal.section == "associations":
            facts = _with_association(facts, proposal)
        else:
            line = f"  {proposal.key}: {json.dumps(proposal.value)} {MARK} {proposal.reason}\n"
            facts = _inserted(facts, proposal.section, line)
    semantics.write_text(facts, encoding="utf-8")
    overlay.write_text(actions, encoding="utf-8")


def _action(proposal: Proposal) -> str:
    action = {"target": proposal.key, "description": f"Proposed: {proposal.reason}", **proposal.value}
    text = yaml.safe_dump([action], sort_keys=False, width=110, allow_unicode=True)
    return "\n" + "".join(f"  {line}\n" for line in text.splitlines())


def _inserted(text: str, section: str, lines: str) -> str:
    """The text with lines at the beginning of a section."""
    return re.sub(
        rf"^{section}:(?: \{{\}})?[ \t]*\n",
        lambda found: f"{section}:\n{lines}",
        text,
        count=1,
        flags=re.MULTILINE,
    )


def _with_association(text: str, proposal: Proposal) -> str:
    definition, _, name = proposal.key.rpartition(".")
    line = f"    {name}: {json.dumps(proposal.value)} {MARK} {proposal.reason}\n"
    before, heading, rest = text.partition("\nassociations:\n")
    known = f"  {definition}:\n"
    if rest.startswith(known) or f"\n{known}" in rest.partition("\n\n")[0]:
        return before + heading + rest.replace(known, known + line, 1)
    return _inserted(text, "associations", f"  {definition}:\n{line}")
