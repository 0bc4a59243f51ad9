"""JSON bodies: decoded by orjson, and by the standard library where orjson is stricter than the service may be."""

from __future__ import annotations

from typing import Any

import orjson


def parsed(content: bytes) -> Any:
    """The value of a JSON text.

    orjson refuses a byte order mark, half of a surrogate pair, `NaN` and `Infinity`. The standard library reads all of
    these, some six times as slowly, so it is asked only about what orjson refused.

    Raises:
        ValueError: The text is not JSON; the message is orjson's, which says where.
    """
    try:
        return orjson.loads(content)
    except ValueError as error:
        if not content.strip():
            raise
        refusal = error
    import json

    try:
        # An encoded surrogate is invalid UTF-8; everything else that is invalid stays an error.
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        return json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError):
        raise refusal from None


def _finite(text: str) -> float:
    """A number that a double can hold: others are written as numbers, unlike `Infinity`, and would lose their value."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        msg = f"{text[:40]} is beyond what a double can hold"
        raise ValueError(msg)
    return value
