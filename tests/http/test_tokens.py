"""Tokens: where they come from, what is refused, and that they show nowhere."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import traceback
from urllib.parse import quote, quote_plus

import anyio
import pytest

from kantata_client import Kantata, OAuthError
from kantata_client._http.tokens import Secret, TokenProvider, as_provider, current, replaced
from kantata_client.errors import UsageError
from kantata_client.oauth import Token
from kantata_client.sandbox import Sandbox
from kantata_client.stores import StoredToken

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
async def test_every_kind_of_token_source_works(source):
    provider = as_provider(source)
    assert isinstance(provider, TokenProvider)
    secret = await current(provider)
    assert secret.reveal() == TOKEN
    assert not await replaced(provider, secret)
    assert TOKEN not in repr(provider) + repr(secret) + repr(vars(type(provider)))


async def test_a_provider_is_used_unchanged():
    stored = Stored()
    assert as_provider(stored) is stored
    secret = await current(stored)
    assert await replaced(stored, secret)
    assert (await current(stored)).reveal() == TOKEN


async def test_a_token_function_is_called_again_after_a_refusal():
    tokens = ["old", "new"]
    provider = as_provider(lambda: tokens[0])
    secret = await current(provider)
    tokens.pop(0)
    assert await replaced(provider, secret)


async def test_the_environment_variable_is_the_default(monkeypatch):
    monkeypatch.setenv("KANTATA_ACCESS_TOKEN", TOKEN)
    assert (await current(as_provider(None))).reveal() == TOKEN
    monkeypatch.delenv("KANTATA_ACCESS_TOKEN")
    with pytest.raises(UsageError, match="KANTATA_ACCESS_TOKEN"):
        as_provider(None)


@pytest.mark.parametrize(
    "bad", ["", TOKEN + "\n", TOKEN + "\r\nx: y", "Bearer " + TOKEN, TOKEN + "é", "\0"], ids=ascii
)
async def test_an_invalid_token_is_rejected_without_being_shown(bad):
    with pytest.raises(UsageError) as caught:
        as_provider(bad)
    assert TOKEN not in str(caught.value) + ours(caught)
    with pytest.raises(UsageError) as caught:
        await current(as_provider(lambda: bad))
    assert TOKEN not in str(caught.value) + ours(caught)


async def test_a_source_must_return_a_string():
    async def nothing():
        return None

    for source in (nothing, lambda: None):
        with pytest.raises(UsageError, match="type NoneType"):
            await current(as_provider(source))
    with pytest.raises(UsageError, match="type bytes") as caught:
        await current(as_provider(TOKEN.encode))
    assert TOKEN not in ours(caught)


def ours(caught) -> str:
    """The local variables of the package's frames, as a traceback with locals would show them."""
    return "".join(repr(entry.locals) for entry in caught.traceback if "kantata_client" in str(entry.path))


def test_a_secret_cannot_be_pickled_or_copied():
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="can't be pickled or copied"):
            leak(Secret(TOKEN))


def test_a_secret_is_redacted_in_every_encoding():
    assert Secret(TOKEN).redact(f"you sent {TOKEN}!".encode()) == b"you sent [secret]!"
    odd = 'a "b"/c+d'
    told = "; ".join((odd, quote(odd, safe=""), quote_plus(odd), json.dumps(odd)))
    assert Secret(odd).redact(told.encode()) == b'[secret]; [secret]; [secret]; "[secret]"'


def test_a_short_secret_redacts_no_words():
    said = b"latest estimate is greatest"
    assert Secret("test").redact(said) == said
    assert Secret("estimate").redact(said) == b"latest [secret] is greatest"


WRONG_OPTIONS = [
    {"timeout": -1},
    {"base_url": "api.mavenlink.com"},
    {"on_drift": "bogus"},
    {"max_concurrency": 0},
    {},
]


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=str)
def test_an_invalid_option_does_not_expose_the_token(options):
    bad = TOKEN if options else TOKEN + " "
    with pytest.raises(UsageError) as caught:
        Kantata(bad, **options)
    assert TOKEN not in str(caught.value) + clients(caught)
    with pytest.raises(UsageError) as caught:
        Kantata("fine").with_token(TOKEN + " ")
    assert TOKEN not in str(caught.value) + clients(caught)


def test_a_partly_constructed_client_has_a_repr():
    """A traceback with locals shows it."""
    assert repr(object.__new__(Kantata)) == "<Kantata>"
    with pytest.raises(UsageError) as caught:
        Kantata(TOKEN + " ")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "<Kantata>" in shown


def clients(caught) -> str:
    """The same of the client alone."""
    return "".join(
        repr(entry.locals)
        for entry in caught.traceback
        if str(entry.path).endswith(("kantata_client/client.py", "kantata_client/_auth.py"))
    )


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("Bearer " + TOKEN, "pass only the part after it"),
        (Token(TOKEN), r"type Token\. Pass its access_token, or StoredToken\(.* to have it renewed"),
        (TOKEN.encode(), "type bytes"),
        (StoredToken, "the class StoredToken: pass an instance"),
    ],
    ids=["bearer", "token", "bytes", "class"],
)
def test_common_mistakes_with_tokens_are_explained(source, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        Kantata(source)
    assert TOKEN not in str(caught.value) + clients(caught)


@pytest.mark.one_loop
async def test_a_cancelled_task_of_a_provider_raises_an_oauth_error():
    sandbox = Sandbox("demo")
    asked = 0

    async def token():
        nonlocal asked
        asked += 1
        if asked == 4:
            shared = asyncio.create_task(asyncio.sleep(60))
            shared.cancel()
            await shared
        return sandbox.token

    async with sandbox.client() as kantata:
        stories = kantata.with_token(token).stories
        with pytest.raises(OAuthError, match="although the request was not"):
            await stories.list(per_page=50).collect()
        asked = 2
        first = await stories.list().first()
        result = await stories.update_many([(first.id, {"title": "x"})])
    assert [outcome.status for outcome in result.outcomes] == ["failed"]


@pytest.mark.one_loop
async def test_a_cancelled_request_stays_cancelled():
    async def token():
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await current(as_provider(token))
    with anyio.move_on_after(0.01) as scope:
        await current(as_provider(token))
    assert scope.cancelled_caught
