"""The vendored contract, which most tests of the compiler begin with."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from codegen.compile import CONTRACT
from codegen.load import load


def vendored() -> dict[str, Any]:
    """The contract as `codegen.load` reads it. Each call returns a copy; the file is parsed once in each process."""
    return orjson.loads(_as_json())


@cache
def _as_json() -> bytes:
    return orjson.dumps(load(CONTRACT))
