"""Check the options of `Kantata`. Each function imports a library only if the given value needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client._http.messages import AsyncTransport, Timeouts, TransportOption
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.throttle import Throttle
    from kantata_client.hooks import Hooks


def parse_timeout(value: object) -> Timeouts | None:
    """Check `timeout=`: seconds, or `Timeouts`."""
    if value is None:
        return None
    from kantata_client._http.messages import Timeouts

    timeouts = Timeouts(value, value, value) if isinstance(value, (int, float)) else value
    if isinstance(value, bool) or not isinstance(timeouts, Timeouts):
        raise UsageError(f"timeout is {value!r}: pass seconds, or Timeouts(…).", consequence="")
    timeouts.check()
    return timeouts


def parse_max_concurrency(value: object) -> int:
    """Check `max_concurrency=`: a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"max_concurrency is {value!r}: pass an integer of at least 1.", consequence="")
    return value


def parse_retries(value: object) -> RetryPolicy | None:
    """Check `retries=`: a number of repetitions, or a `RetryPolicy`."""
    if value is None:
        return None
    from kantata_client._http.retry import RetryPolicy

    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return RetryPolicy(retries=value)
    if not isinstance(value, RetryPolicy):
        raise UsageError(
            f"retries is {value!r}: pass how often to repeat a request (0 for never), or RetryPolicy(…).",
            consequence="",
        )
    value.check()
    return value


def parse_throttle(value: Any) -> Throttle | None:
    """Check `throttle=`: requests a second, or a `Throttle`."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        from kantata_client._http.throttle import FixedRate

        return FixedRate(value)
    names = ("acquire", "succeeded", "limited")
    if isinstance(value, type) or not all(
        callable(getattr(cast("object", value), name, None)) for name in names
    ):
        raise UsageError(
            f"throttle is {value!r}: pass requests a second, FixedRate(…), AdaptiveThrottle(…), or a Throttle of your own.",
            consequence="",
        )
    return value


def parse_hooks(value: object) -> Hooks | None:
    """Check `hooks=`: `Hooks`."""
    if value is None:
        return None
    from kantata_client.hooks import Hooks

    if not isinstance(value, Hooks):
        raise UsageError(f"hooks is {value!r}: pass Hooks(on_request=…, on_response=…, …).", consequence="")
    return value


def parse_transport(value: Any) -> TransportOption | None:
    """Check `transport=`: an async transport of httpx, a function that makes one, or `"aiohttp"`."""
    if value is None or value == "aiohttp" or _is_transport(value):
        return value
    if callable(value) and not isinstance(value, type) and _needs_no_arguments(value):
        return cast("TransportOption", value)
    raise UsageError(
        f"transport is of type {type(value).__name__}: pass an async transport of httpx or httpx2, such "
        "as httpx.AsyncHTTPTransport(…), a function without parameters that returns one, or 'aiohttp'. A client or a "
        "synchronous transport does not work.",
        consequence="",
    )


def make_transport(factory: Callable[[], Any]) -> AsyncTransport:
    """Call the function that was passed as `transport=`.

    Raises:
        UsageError: It did not return a transport.
    """
    transport = factory()
    if not _is_transport(transport):
        raise UsageError(
            f"The function passed as transport= returned an object of type {type(transport).__name__}: it must return an "
            "async transport of httpx"
        )
    return transport


def _is_transport(value: object) -> bool:
    return callable(getattr(value, "handle_async_request", None)) and not isinstance(value, type)


def _needs_no_arguments(function: Callable[..., object]) -> bool:
    from inspect import Parameter, signature

    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return not any(
        parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        for parameter in parameters
    )


def parse_max_response_bytes(value: object) -> int | None:
    """Check `max_response_bytes=`: a positive integer, or None for no limit."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(
            f"max_response_bytes is {value!r}: pass a number of bytes, or None for no limit", consequence=""
        )
    return value


def parse_base_url(url: str) -> str:
    """Check `base_url=`: a URL that tokens may be sent to, returned without a trailing slash."""
    from kantata_client._http.addresses import unsafe

    problem = unsafe(url)
    if problem is None and "?" in url:
        problem = f"{url.partition('?')[0]}: it must not contain a query"
    if problem is not None:
        raise UsageError(f"base_url is not safe to send a token to: {problem}", consequence="")
    scheme, colon, rest = url.partition(":")
    return f"{scheme.lower()}{colon}{rest}".rstrip("/")
