"""Tokens: where they come from, what is refused, and that they show nowhere."""

from __future__ import annotations

import copy
import pickle

import pytest

from kantata_client._auth import Secret, TokenProvider, as_provider, current, replaced
from kantata_client.errors import UsageError

pytestmark = pytest.mark.anyio
TOKEN = "planted-4711"


async def asked():
    return TOKEN


class Stored:
    def __init__(self):
        self.tokens = ["old", TOKEN]

    async def token(self):
        return self.tokens[0]

    async def refused(self, token):
        if token == self.tokens[0]:
            self.tokens.pop(0)
        return bool(self.tokens)


@pytest.mark.parametrize("source", [TOKEN, lambda: TOKEN, asked], ids=["string", "function", "coroutine"])
async def test_all_kinds_of_sources(source):
    provider = as_provider(source)
    assert isinstance(provider, TokenProvider)
    secret = await current(provider)
    assert secret.reveal() == TOKEN
    assert not await replaced(provider, secret)
    assert TOKEN not in repr(provider) + repr(secret) + repr(vars(type(provider)))


async def test_a_provider_is_taken_as_it_is():
    stored = Stored()
    assert as_provider(stored) is stored
    secret = await current(stored)
    assert await replaced(stored, secret)
    assert (await current(stored)).reveal() == TOKEN


async def test_a_function_is_asked_again_after_a_refusal():
    tokens = ["old", "new"]
    provider = as_provider(lambda: tokens[0])
    secret = await current(provider)
    tokens.pop(0)
    assert await replaced(provider, secret)


async def test_the_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("KANTATA_ACCESS_TOKEN", TOKEN)
    assert (await current(as_provider(None))).reveal() == TOKEN
    monkeypatch.delenv("KANTATA_ACCESS_TOKEN")
    with pytest.raises(UsageError, match="KANTATA_ACCESS_TOKEN"):
        as_provider(None)


@pytest.mark.parametrize(
    "bad", ["", TOKEN + "\n", TOKEN + "\r\nx: y", "Bearer " + TOKEN, TOKEN + "é", "\0"], ids=ascii
)
async def test_a_token_that_is_none_is_refused_unseen(bad):
    with pytest.raises(UsageError) as caught:
        as_provider(bad)
    assert TOKEN not in str(caught.value) + ours(caught)
    with pytest.raises(UsageError) as caught:
        await current(as_provider(lambda: bad))
    assert TOKEN not in str(caught.value) + ours(caught)


async def test_a_source_that_returns_something_else_is_refused():
    async def nothing():
        return None

    with pytest.raises(UsageError, match="NoneType"):
        await current(as_provider(nothing))


def ours(caught) -> str:
    """The local variables of the package's frames, as a traceback with locals would show them."""
    return "".join(repr(entry.locals) for entry in caught.traceback if "kantata_client" in str(entry.path))


def test_a_secret_goes_into_no_copy():
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(Secret(TOKEN))
    assert Secret(TOKEN).redact(f"you sent {TOKEN}!".encode()) == b"you sent [token]!"
