"""Describe: turn the nodes into the facts that the templates print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.arguments import Reader, parse
from codegen.facts import Facts
from codegen.models import envelope_keys, inputs, models, polymorphic_types
from codegen.operations import resources

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.nodes import Contract
    from codegen.semantics import Semantics


def describe(contract: Contract, semantics: Semantics, output: Path) -> Facts:
    """Let openapi-python-client's parser read the types, and combine them with the nodes and the semantics.

    Args:
        contract: The nodes that `codegen.normalise` made.
        semantics: Facts of `overrides/semantics.yaml`.
        output: The folder that the generated code is for; nothing is written.

    Raises:
        CodegenError: Something can't be expressed, or a fact does not fit the contract.
    """
    data, config = parse(contract, output)
    reader = Reader(data, contract, semantics.ids)
    keys = envelope_keys(contract)
    classes = models(reader, contract, keys, semantics)
    found = resources(contract, data, keys, semantics, reader)
    for model in classes:
        for each in model.associations:
            if each.key and each.model:
                keys.setdefault(each.key, each.model)
    return Facts(
        resources=found,
        models=classes,
        inputs=inputs(reader, contract),
        keys=keys,
        types=polymorphic_types(contract, keys, semantics),
        data=data,
        config=config,
    )
