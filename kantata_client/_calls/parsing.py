"""Decoding of JSON bodies: by orjson, or by the standard library if orjson rejects a body."""

from __future__ import annotations

from typing import Any

import orjson


def parsed(content: bytes) -> Any:
    """Decode JSON.

    orjson rejects a byte order mark, half of a surrogate pair, `NaN` and `Infinity`. The standard library accepts all of
    these, but is about six times slower, so it only decodes what orjson has rejected.

    Raises:
        ValueError: The content is not JSON; the message is orjson's and gives the position.
    """
    try:
        return orjson.loads(content)
    except ValueError as error:
        if not content.strip():
            raise
        rejection = error
    import json

    try:
        # This allows an encoded surrogate; all other invalid UTF-8 is still an error.
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        return json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError):
        raise rejection from None


def _finite(text: str) -> float:
    """Convert a number; reject one that is too large for a double, instead of reading it as infinity."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        msg = f"{text[:40]} is too large for a double"
        raise ValueError(msg)
    return value
