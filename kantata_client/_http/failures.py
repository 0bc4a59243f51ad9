"""What the exceptions of an exchange mean: whether the request was sent, and whether another attempt may help."""

from __future__ import annotations

import re
from errno import EMFILE
from os import strerror
from typing import TYPE_CHECKING

import anyio

from kantata_client._http.adapters import UnconnectedError
from kantata_client._http.aiohttp_adapter import aiohttp_failure
from kantata_client._http.bodies import TooLargeError, UndecodableError
from kantata_client._http.http11 import BrokenError
from kantata_client._http.library import httpx
from kantata_client._http.messages import Failure

if TYPE_CHECKING:
    from kantata_client._http.adapters import Answer

_BROKEN: tuple[type[Exception], ...] = (
    BrokenError,
    httpx.TransportError,
    httpx.DecodingError,
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What is raised when an exchange fails. httpx does not translate all exceptions of anyio and ssl."""

_UNTRUSTED = "This machine does not trust the server's certificate."
_FORBIDDEN = re.compile(r"4(?!08|29)\d\d")
"""Statuses of a proxy that will not change by themselves."""
_DENIED = "Check that the proxy allows this host, or exclude the host with NO_PROXY."
_FILES = "Each connection is an open file: allow more (`ulimit -n`), or lower max_concurrency."
_LARGER = "Ask for less at once (per_page, includes, a narrower filter), or set max_response_bytes higher."
_ENCODING = "Check base_url and the proxies on the way."


def failure_of(error: Exception, answer: Answer | None) -> Failure:
    """The failure that an exception stands for.

    Args:
        error: What an adapter raised, or what reading the response raised.
        answer: The response, if its headers had arrived.
    """
    reason = str(error) or (
        "no answer in time"
        if isinstance(error, (httpx.TimeoutException, TimeoutError))
        else type(error).__name__
    )
    timeout = isinstance(error, (httpx.TimeoutException, TimeoutError))
    if answer is not None:
        return _cut_off(error, reason, answer, timeout=timeout)
    if isinstance(error, UnconnectedError):
        if isinstance(error.__cause__, TimeoutError):
            return Failure("no connection in time", unsent=True, timeout=True)
        return _unconnected(reason)
    found = aiohttp_failure(error)
    if found is not None:
        return _of_aiohttp(*found)
    if isinstance(error, httpx.PoolTimeout):
        return Failure("no connection became free in time", unsent=True, timeout=True)
    if isinstance(error, httpx.ConnectTimeout):
        return Failure("no connection in time", unsent=True, timeout=True)
    if isinstance(error, httpx.ProxyError) and _FORBIDDEN.match(reason):
        return Failure(f"no connection (the proxy: {reason})", unsent=True, hopeless=True, advice=_DENIED)
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        return _unconnected(reason)
    if not isinstance(error, _BROKEN):
        # A defect of a transport. How far the request got is unknown, and another attempt would hardly go better.
        return Failure(f"the transport failed with {type(error).__name__}: {error}", hopeless=True)
    return Failure(reason, timeout=timeout)


def _cut_off(error: Exception, reason: str, answer: Answer, *, timeout: bool) -> Failure:
    status, request_id = answer.status, answer.headers.get("x-request-id")
    if isinstance(error, (TooLargeError, UndecodableError)):
        advice = _LARGER if isinstance(error, TooLargeError) else _ENCODING
        return Failure(reason, hopeless=True, advice=advice, status=status, request_id=request_id)
    reason = f"the answer was cut off ({reason})"
    return Failure(reason, timeout=timeout, status=status, request_id=request_id)


def _unconnected(reason: str) -> Failure:
    """The failure of an attempt that got no connection."""
    if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate verify failed" in reason:
        return Failure(f"no connection ({reason})", unsent=True, hopeless=True, advice=_UNTRUSTED)
    advice = _FILES if strerror(EMFILE) in reason else ""
    return Failure(f"no connection ({reason})", unsent=True, advice=advice)


def _of_aiohttp(reason: str, unsent: bool, timeout: bool) -> Failure:
    if not unsent:
        return Failure("no answer in time" if timeout else reason, timeout=timeout)
    return Failure("no connection in time", unsent=True, timeout=True) if timeout else _unconnected(reason)
