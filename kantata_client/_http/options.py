"""Checks of the options of `Kantata`. A library is imported only for an option that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client._http.messages import AsyncTransport, Timeouts, TransportOption
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.throttle import Throttle
    from kantata_client.hooks import Hooks


def timeouts_of(given: object) -> Timeouts | None:
    """`timeout=`: seconds, or `Timeouts`."""
    if given is None:
        return None
    from kantata_client._http.messages import Timeouts

    timeouts = Timeouts(given, given, given) if isinstance(given, (int, float)) else given
    if isinstance(given, bool) or not isinstance(timeouts, Timeouts):
        raise UsageError(f"timeout is {given!r}: give seconds, or Timeouts(…).", consequence="")
    timeouts.check()
    return timeouts


def concurrency_of(given: object) -> int:
    """`max_concurrency=`: a whole number."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise UsageError(f"max_concurrency is {given!r}: give a whole number, at least 1.", consequence="")
    return given


def policy_of(given: object) -> RetryPolicy | None:
    """`retries=`: how often to repeat a request, or a `RetryPolicy`."""
    if given is None:
        return None
    from kantata_client._http.retry import RetryPolicy

    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return RetryPolicy(attempts=given + 1)
    if not isinstance(given, RetryPolicy):
        raise UsageError(
            f"retries is {given!r}: give how often to repeat a request (0: never), or RetryPolicy(…).",
            consequence="",
        )
    given.check()
    return given


def throttle_of(given: Any) -> Throttle | None:
    """`throttle=`: requests a second, or a `Throttle`."""
    if given is None:
        return None
    if isinstance(given, (int, float)):
        from kantata_client._http.throttle import FixedRate

        return FixedRate(given)
    names = ("acquire", "succeeded", "limited")
    if isinstance(given, type) or not all(
        callable(getattr(cast("object", given), name, None)) for name in names
    ):
        raise UsageError(
            f"throttle is {given!r}: give requests a second, FixedRate(…), AdaptiveThrottle(…), or a Throttle of your own.",
            consequence="",
        )
    return given


def hooks_of(given: object) -> Hooks | None:
    """`hooks=`: `Hooks`."""
    if given is None:
        return None
    from kantata_client.hooks import Hooks

    if not isinstance(given, Hooks):
        raise UsageError(f"hooks is {given!r}: give Hooks(on_request=…, on_response=…, …).", consequence="")
    return given


def transport_of(given: Any) -> TransportOption | None:
    """`transport=`: an async transport of httpx, a function that makes one, or `"aiohttp"`."""
    if given is None or given == "aiohttp" or (_sends(given) and not isinstance(given, type)):
        return given
    if callable(given) and not isinstance(given, type) and _takes_nothing(given):
        return cast("TransportOption", given)
    raise UsageError(
        f"transport is of type {type(given).__name__}: give an async transport of httpx, such as "
        "httpx.AsyncHTTPTransport(…), a function without parameters that makes one, or 'aiohttp'; not a client or a "
        "synchronous transport.",
        consequence="",
    )


def made_by(factory: Callable[[], Any]) -> AsyncTransport:
    """The transport that a function given as `transport=` makes."""
    made = factory()
    if not _sends(made) or isinstance(made, type):
        raise UsageError(
            f"The function given as transport= returned an object of type {type(made).__name__}: it has to return an async "
            "transport of httpx"
        )
    return made


def _sends(value: object) -> bool:
    return callable(getattr(value, "handle_async_request", None))


def _takes_nothing(function: Callable[..., object]) -> bool:
    from inspect import Parameter, signature

    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return not any(
        each.default is Parameter.empty and each.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        for each in parameters
    )


def bytes_of(given: object) -> int | None:
    """`max_response_bytes=`: a number, or `None` for no limit."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise UsageError(
            f"max_response_bytes is {given!r}: give a number of bytes, or None for no limit", consequence=""
        )
    return given


def base_url_of(url: str) -> str:
    """`base_url=`: an address that tokens may be sent to, returned without a trailing slash."""
    from kantata_client._http.addresses import unsafe

    problem = unsafe(url)
    if problem is None and "?" in url:
        problem = f"{url.partition('?')[0]}: it must not have a query"
    if problem is not None:
        raise UsageError(f"Not an address to send to: {problem}", consequence="")
    scheme, colon, rest = url.partition(":")
    return f"{scheme.lower()}{colon}{rest}".rstrip("/")
