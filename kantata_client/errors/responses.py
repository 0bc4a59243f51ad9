"""Turn an error response into an exception whose message says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    ValidationError,
)
from kantata_client.errors.details import ErrorDetail

if TYPE_CHECKING:
    from collections.abc import Mapping

_READABLE = 3
"""A body is binary data if more than one in this many of its characters is unreadable."""

_DECODED = ("", "identity", "gzip", "x-gzip", "deflate")
"""Encodings that are decoded before the body is examined."""

_LONGEST_MESSAGE = 300
"""How many characters of a server's text a message quotes, such as a proxy's HTML page."""

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: ValidationError,
    429: RateLimitedError,
}

_ADVICE = {
    400: "Check the parameters against the operation's documentation.",
    401: "The token is wrong or was revoked: get a new one, issued for this base URL.",
    403: "The token's user may not do this, or the account lacks the feature: ask its administrator.",
    422: "Correct the values, then send it again.",
    429: "Send fewer requests at once, or wait a few minutes. Requests of the account's other programs count too.",
    501: "This server does not support that. Nothing was done.",
    503: "The service is down or busy: try again later, and see Kantata's status page.",
    504: "The service gives up after three minutes: ask for fewer records per page (per_page), "
    "fewer includes, or a narrower date filter.",
}


def error_from_response(
    status: int, headers: Mapping[str, str], content: bytes, method: str, path: str
) -> APIError:
    """Build the exception for an error response.

    Args:
        status: HTTP status of 300 or above.
        headers: The response's headers, with lower-case names.
        content: The body: errors of the API or of the OAuth endpoints, an HTML page, or anything else.
        method: The request's method.
        path: The request's path below the base URL.
    """
    location = headers.get("location")
    if 300 <= status < 400:
        kind, advice = (
            APIError,
            "Redirects are not followed, because they could send the token to another server: check base_url.",
        )
        if method not in ("GET", "HEAD") and status not in (307, 308):
            advice = f"A redirect like this usually follows a write that was carried out. {advice}"
        # The target may be a signed URL, so the message shows only its host.
        details = (ErrorDetail("", f"redirect to {_origin(location)}"),) if location else ()
    else:
        kind = ServerError if status >= 500 else _BY_STATUS.get(status, APIError)
        advice = _ADVICE.get(status) or ("The service failed: try again later." if status >= 500 else "")
        if status == 404:
            advice = _advice_of_404(method, path)
        details = _details(content, headers.get("content-encoding"))
    pause = retry_after(headers) if status == 429 else None
    if pause is not None:
        asked = f"{pause:.0f} s" if pause < 1e9 else "an endless pause"
        advice = f"The service asks to wait {asked}. {advice}"
    what = "; ".join(str(detail) for detail in details) or "no explanation was given"
    request_id = headers.get("x-request-id")
    message = f"{method} {path} failed with {status}: {_shortened(what).rstrip('.')}."
    if advice:
        message += f" {advice}"
    if request_id:
        message += f" (request id {request_id})"
    error = kind(message, status=status, method=method, path=path, errors=details, request_id=request_id)
    if isinstance(error, RateLimitedError):
        error.retry_after = pause
    return error


def _advice_of_404(method: str, path: str) -> str:
    if not any(character.isdecimal() for character in path):
        return "Check base_url and the path: the path names no record."
    advice = "The record does not exist, or the token's user may not see it"
    if method == "GET":
        switches = "pass show_archived, show_deleted or include_archived if the call has it"
        advice += f", or a default filter hides it ({switches})"
    return f"{advice}."


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds in a `Retry-After` header, given as a number or a date. `now` is in seconds since 1970."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.replace(".", "", 1).isdecimal():
        return float(value)
    if not value:
        return None
    import time
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value)
        if when.tzinfo is None:  # as with "-0000"; HTTP dates are in UTC
            when = when.replace(tzinfo=UTC)
        return max(0.0, when.timestamp() - (time.time() if now is None else now))
    except (ValueError, OverflowError, TypeError):
        return None


def _details(content: bytes, encoding: str | None = None) -> tuple[ErrorDetail, ...]:
    import json

    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        text = readable_text(content, encoding)
        return (ErrorDetail("", text),) if text else ()
    if not isinstance(body, dict):
        return (ErrorDetail("", _shortened(str(body))),) if body else ()
    found = cast("dict[str, Any]", body)
    errors: Any = found.get("errors")
    if isinstance(errors, dict):
        # {"field": ["message", …]}
        return tuple(
            ErrorDetail("", _shortened(str(message)), visible(str(field)))
            for field, messages in cast("dict[str, Any]", errors).items()
            for message in cast("list[Any]", messages if isinstance(messages, list) else [messages])
        )
    if isinstance(errors, list):
        return tuple(_detail(entry) for entry in cast("list[Any]", errors))
    message: Any = found.get("error_description") or found.get("error") or found.get("message") or errors
    return (ErrorDetail("oauth" if "error" in found else "", _shortened(str(message))),) if message else ()


def _detail(entry: Any) -> ErrorDetail:
    if not isinstance(entry, dict):
        return ErrorDetail("", _shortened(str(entry)))
    found = cast("dict[str, Any]", entry)
    field: Any = found.get("field")
    return ErrorDetail(
        visible(str(found.get("type") or "")),
        _shortened(str(found.get("message") or "no message")),
        visible(str(field)) if field else None,
    )


def readable_text(content: bytes, encoding: str | None = None) -> str:
    """The readable text of a body that is not JSON; for an HTML page, its title.

    Args:
        content: The body.
        encoding: The `content-encoding` of the response.
    """
    import re
    from html import unescape

    text = content[:20_000].decode("utf-8", "replace")
    unreadable = sum(not (character.isprintable() or character.isspace()) for character in text)
    foreign = bool(text) and (encoding or "").strip().lower() not in _DECODED
    if foreign or (unreadable + text.count("\ufffd")) * _READABLE > len(text):
        compressed = f", compressed as {encoding[:40]!r}" if encoding and encoding.isprintable() else ""
        return f"{len(content):,} bytes of binary data{compressed}"
    if "<" in text:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text)
        text = unescape(text)
    return _shortened(" ".join(text.split()))


def _shortened(text: str) -> str:
    return visible(text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…")


def visible(text: str) -> str:
    """Escape control characters in a server's text, because they could manipulate a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else " "
        if character in "\t\n\v\f\r"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _origin(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path of the same host"
    except ValueError:
        return "an invalid address"
