"""Everything that this package raises on purpose.

    KantataError
    ├── UsageError (also a ValueError)        the call is wrong
    ├── APIError                              the service answered with an error
    │   ├── BadRequestError            400
    │   ├── AuthenticationError        401
    │   ├── PermissionDeniedError      403
    │   ├── NotFoundError              404
    │   ├── ValidationError            422
    │   ├── RateLimitedError           429
    │   └── ServerError                5xx
    ├── KantataConnectionError                no connection, or it broke
    │   └── KantataTimeoutError               no answer in time
    ├── UnknownOutcomeError                   a write that may or may not have happened
    ├── MalformedResponseError                an answer that is not what the API sends
    ├── OAuthError                            authorization failed
    ├── NotIncludedError                      an association that the request did not include
    ├── NotOneError                           one object was expected, and there are none or several
    ├── UnstableListError                     a list kept changing while it was walked
    ├── EventsExpiredError                    the change feed was read too late; events are gone
    ├── UploadError                           a file did not get to where attachments are kept
    ├── ExportError                           an export failed, was canceled, or took too long
    └── BulkError                             some items of a bulk write failed

All of them can be pickled and copied. None holds request headers or a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

_LONGEST_MESSAGE = 300
"""Characters of a foreign text (an HTML page of a proxy, say) that a message of ours repeats."""


class ErrorDetail(NamedTuple):
    """One entry of an error response's `errors`."""

    type: str
    """`oauth`, `system` or `validation`; empty when the service does not tell."""
    message: str
    field: str | None = None
    """The property that was refused, where the service tells."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class KantataError(Exception):
    """The root of the tree: `except KantataError` catches whatever this package raises."""

    answer_was_lost: bool = False
    """An earlier attempt of this request got no proper answer, and may have been carried out.

    A `NotFoundError` of a DELETE with this set mostly means that the record was there and is gone.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with the message alone, which keyword-only arguments refuse.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[KantataError], args: tuple[Any, ...], state: dict[str, Any]) -> KantataError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UsageError(KantataError, ValueError):
    """The call or the configuration is wrong.

    Almost always found before anything is sent, and then the message ends with "Nothing was sent." When it can show only
    later (a stream longer than announced, say), the message says what became of the request instead, and
    `answer_was_lost` whether an attempt may have been carried out.
    """

    def __init__(
        self, problem: str, *, details: Iterable[str] = (), consequence: str = "Nothing was sent."
    ) -> None:
        """Make an error whose message is `problem`, then `consequence`, then the details on lines of their own.

        Args:
            problem: What is wrong, in which argument, and what to give instead. A missing full stop is added.
            details: More problems of the same kind, such as one for each invalid item.
            consequence: What became of the request; empty where no request is involved.
        """
        problem = problem if problem.endswith((".", "?", "!")) else f"{problem}."
        first = f"{problem} {consequence}" if consequence else problem
        super().__init__("\n".join([first, *(f"  {detail}" for detail in details)]))
        self.problem = problem


class APIError(KantataError):
    """The service answered with an error, and did not do what was asked for.

    `method` and `path` are of the request, `request_id` is what Kantata's support asks for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        method: str,
        path: str,
        errors: tuple[ErrorDetail, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors = errors
        self.method = method
        self.path = path
        self.request_id = request_id


class BadRequestError(APIError):
    """400: the service could not make sense of the request."""


class AuthenticationError(APIError):
    """401: the token is wrong or revoked."""


class PermissionDeniedError(APIError):
    """403: the token's user may not do this."""


class NotFoundError(APIError):
    """404: no such record, or one that the user or a default filter does not see."""


class ValidationError(APIError):
    """422: the service refused values."""

    @property
    def fields(self) -> dict[str, list[str]]:
        """The messages of each refused field; those that name no field are in `errors` only."""
        fields: dict[str, list[str]] = {}
        for error in self.errors:
            if error.field:
                fields.setdefault(error.field, []).append(error.message)
        return fields


class RateLimitedError(APIError):
    """429: too many requests, and retrying did not help in time."""

    retry_after: float | None = None
    """Seconds that the service asked to wait; it mostly does not say."""


class ServerError(APIError):
    """5xx: the service failed."""


class KantataConnectionError(KantataError):
    """No connection could be made, or it broke."""

    def __init__(
        self, message: str, *, method: str, path: str, unsent: bool = False, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.unsent = unsent
        """No byte of the request left, in no attempt: certainly nothing was carried out."""
        self.request_id = request_id
        """Of the answer, if one had begun when the connection broke."""


class KantataTimeoutError(KantataConnectionError):
    """No connection or no answer in time."""


class UnknownOutcomeError(KantataError):
    """A write may or may not have happened: the request got out, and no answer tells.

    It was not repeated, since a second POST could create a duplicate. Look whether it happened (by the
    record's `external_reference`, or by listing what was created lately) before sending it again.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        sent: Any = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.sent = sent
        """The body: decoded JSON, or bytes when it is something else; of a form its fields and file names."""
        self.status = status
        """Status of the answer, if there was one: 5xx, or 2xx when its body was cut off."""
        self.request_id = request_id


class MalformedResponseError(KantataError):
    """The answer is not what the API sends: no JSON, or of another shape than the operation's."""

    def __init__(self, message: str, *, method: str, path: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.request_id = request_id


class OAuthError(KantataError):
    """Authorization failed; nothing was stored. `error` is the OAuth standard's code, if any."""

    def __init__(self, message: str, *, error: str | None = None) -> None:
        super().__init__(message)
        self.error = error


class NotIncludedError(KantataError):
    """An association was read that the request did not include."""

    def __init__(self, model: str, association: str, advice: str) -> None:
        super().__init__(f"{model}.{association} was not asked for, so it is not in the response: {advice}.")
        self.model = model
        self.association = association


class NotOneError(KantataError):
    """One object was expected, and the service found none or several."""


class UnstableListError(KantataError):
    """A list kept changing, so that a stable walk could not go on without losing records."""


class EventsExpiredError(KantataError):
    """The change feed was not read for more than 9 days, and events that were not delivered are gone."""

    def __init__(self, until: datetime, gone: datetime) -> None:
        super().__init__(
            f"The change feed was read up to {until.isoformat()}, but the service has dropped all events before "
            f"{gone.isoformat()}: it keeps them for 9 days. Read all records once, then follow(skip_expired=True) goes on "
            "with the events that are left."
        )
        self.until = until
        """Up to when events were delivered."""
        self.gone = gone
        """Events before this moment are gone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.until, self.gone)


class UploadError(KantataError):
    """A file did not get to where attachments are kept, though its attachment was created."""

    def __init__(self, message: str, *, attachment_id: int | str) -> None:
        super().__init__(message)
        self.attachment_id = attachment_id
        """The attachment without a file: `attachments.sync` or `attachments.delete` it."""


class ExportError(KantataError):
    """An export failed, was canceled, or took too long."""

    def __init__(self, message: str, *, export_id: int | str, status: str | None = None) -> None:
        super().__init__(message)
        self.export_id = export_id
        self.status = status
        """What the service said last."""


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
    401: "The token is wrong, or its user revoked it: get a new one, made for this base URL.",
    403: "The token's user may not do this, or the account lacks the feature: ask its administrator.",
    422: "Correct the values, then send it again.",
    429: "Send fewer requests at once, or wait some minutes; other programs of the account count too.",
    501: "This server does not have that; nothing was done.",
    503: "The service is down or busy: try again later, and see Kantata's status page.",
    504: "The service gives up after three minutes: ask for fewer records a page (per_page), "
    "fewer includes, or a narrower date filter.",
}


def error_from_response(
    status: int, headers: Mapping[str, str], content: bytes, method: str, path: str
) -> APIError:
    """The error that an answer without success stands for.

    `headers` are looked up by lower-case names. Any `content` will do: the API's errors, those of the OAuth
    endpoints, an HTML page of something in between, nothing.
    """
    location = headers.get("location")
    if 300 <= status < 400:
        kind, advice = (
            APIError,
            "Redirects are not followed, since they could carry the token away: check base_url.",
        )
        # A target may be a signed URL: its host tells enough.
        details = (ErrorDetail("", f"redirect to {_origin(location)}"),) if location else ()
    else:
        kind = ServerError if status >= 500 else _BY_STATUS.get(status, APIError)
        advice = _ADVICE.get(status) or ("The service failed: try again later." if status >= 500 else "")
        if status == 404:
            advice = _advice_of_404(method, path)
        details = _details(content)
    what = "; ".join(str(detail) for detail in details) or "no explanation was given"
    request_id = headers.get("x-request-id")
    message = f"{method} {path} failed with {status}: {_shortened(what).rstrip('.')}."
    if advice:
        message += f" {advice}"
    if request_id:
        message += f" (request id {request_id})"
    error = kind(message, status=status, method=method, path=path, errors=details, request_id=request_id)
    if isinstance(error, RateLimitedError):
        error.retry_after = retry_after(headers)
    return error


def _advice_of_404(method: str, path: str) -> str:
    if not any(character.isdecimal() for character in path):
        return "Check base_url and the path: nothing in it names a record."
    advice = "The record does not exist any more, or the token's user may not see it"
    if method == "GET":
        switches = "show_archived, show_deleted or include_archived lifts it, if the call has that"
        advice += f", or a default filter hides it ({switches})"
    return f"{advice}."


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds of a `Retry-After` header, from its number or its date; `now` is in seconds since 1970."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    if not value:
        return None
    import time
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, when - (time.time() if now is None else now))


def _details(content: bytes) -> tuple[ErrorDetail, ...]:
    import json

    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        text = _text(content)
        return (ErrorDetail("", text),) if text else ()
    if not isinstance(body, dict):
        return (ErrorDetail("", _shortened(str(body))),) if body else ()
    found = cast("dict[str, Any]", body)
    errors: Any = found.get("errors")
    if isinstance(errors, dict):
        # {"field": ["message", …]}
        return tuple(
            ErrorDetail("", _shortened(str(message)), str(field))
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
        str(found.get("type") or ""),
        _shortened(str(found.get("message") or "no message")),
        str(field) if field else None,
    )


def _text(content: bytes) -> str:
    """What a person would read of a body that is not JSON."""
    import re
    from html import unescape

    text = content[:20_000].decode("utf-8", "replace")
    if "<" in text:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text)
        text = unescape(text)
    return _shortened(" ".join(text.split()))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"


def _origin(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path of the same host"
    except ValueError:
        return "an address that makes no sense"
