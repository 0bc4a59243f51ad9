"""Hooks are checked where they are made."""

from __future__ import annotations

import functools
from typing import Any

import anyio
import pytest

from kantata_client import Hooks, UsageError


class AsyncHook:
    async def __call__(self, event: object) -> None: ...


@pytest.mark.parametrize(
    ("hooks", "problem"),
    [
        ({"on_request": "print"}, r"Hooks\(on_request=…\) is 'print': pass a function"),
        ({"on_retry": anyio.sleep}, r"Hooks\(on_retry=…\) is an async function"),
        ({"on_response": functools.partial(anyio.sleep, 1)}, r"Hooks\(on_response=…\) is an async function"),
        ({"on_throttle": AsyncHook()}, r"Hooks\(on_throttle=…\) is an async function"),
    ],
    ids=["text", "async", "partial", "object"],
)
def test_a_hook_that_cannot_be_called_is_rejected(hooks: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Hooks(**hooks)


def test_hooks_are_values() -> None:
    assert Hooks(on_request=print) == Hooks(on_request=print)
    assert Hooks() != (None, None, None, None)
