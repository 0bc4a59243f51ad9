"""Everything this package raises on purpose.

    KantataError
    ├── UsageError (also a ValueError)        the call is invalid
    │   └── UnexpectedArgumentError           … because of an unknown argument (also a TypeError)
    ├── APIError                              the service answered with an error
    │   ├── BadRequestError            400
    │   ├── AuthenticationError        401
    │   ├── PermissionDeniedError      403
    │   ├── NotFoundError              404
    │   ├── ValidationError            422
    │   ├── RateLimitedError           429
    │   └── ServerError                5xx
    ├── KantataConnectionError                no connection, or it broke
    │   └── KantataTimeoutError               no response in time
    ├── UnknownOutcomeError                   a write that may or may not have been carried out
    ├── MalformedResponseError                a response that does not look like the API's
    ├── OAuthError                            authorization failed
    ├── NotIncludedError (also an AttributeError)  a field or association that was not requested
    ├── NotOneError                           one object was expected, but not exactly one was found
    ├── UnstableListError                     a list kept changing while it was read
    ├── EventsExpiredError                    the change feed was read too late; events are gone
    ├── UploadError                           an attachment was created, but its file was not stored
    ├── ExportError                           an export failed, was canceled, or took too long
    └── BulkError                             some items of a bulk write failed

All of them can be pickled and copied. None holds request headers or a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client._lazy import lazy_attributes, resolvable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

if TYPE_CHECKING:
    from kantata_client.errors.details import ErrorDetail as ErrorDetail
else:
    __getattr__, __dir__ = lazy_attributes(__name__, {"ErrorDetail": "details"})


class KantataError(Exception):
    """The root of the tree: `except KantataError` catches everything this package raises on purpose."""

    answer_was_lost: bool = False
    """Whether an earlier attempt of this request got no usable response, and so may have been carried out.

    A `NotFoundError` of a DELETE with this set usually means that the record existed and is now deleted.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # The default passes only the message to the class, but subclasses require keyword arguments.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[KantataError], args: tuple[Any, ...], state: dict[str, Any]) -> KantataError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


@resolvable
class UsageError(KantataError, ValueError):
    """The call or the configuration is invalid.

    This is almost always found before anything is sent, and then the message says "Nothing was sent." If it is found later
    (because a stream is longer than announced, for example), the message says what happened to the request instead, and
    `answer_was_lost` says whether an attempt may have been carried out.
    """

    def __init__(
        self, problem: str, *, details: Iterable[str] = (), consequence: str = "Nothing was sent."
    ) -> None:
        """Build the message from `problem`, `consequence` and the details, each detail on a line of its own.

        Args:
            problem: What is wrong, in which argument, and what to pass instead. A missing full stop is added.
            details: More problems of the same kind, such as one for each invalid item.
            consequence: What happened to the request; empty if no request is involved.
        """
        problem = problem if problem.endswith((".", "?", "!")) else f"{problem}."
        first = f"{problem} {consequence}" if consequence else problem
        super().__init__("\n".join([first, *(f"  {detail}" for detail in details)]))
        self.problem = problem


class UnexpectedArgumentError(UsageError, TypeError):
    """A method was called with an argument that it does not have."""


@resolvable
class APIError(KantataError):
    """The service responded with an error, and did not carry out the request.

    `method` and `path` are those of the request. Kantata's support will ask for `request_id`.
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
    """400: the service could not understand the request."""


class AuthenticationError(APIError):
    """401: the token is wrong or revoked."""


class PermissionDeniedError(APIError):
    """403: the token's user may not do this."""


class NotFoundError(APIError):
    """404: the record does not exist, or the user may not see it, or a default filter hides it."""


class ValidationError(APIError):
    """422: the service rejected values."""

    @property
    def fields(self) -> dict[str, list[str]]:
        """The messages for each rejected field. Messages that name no field are only in `errors`."""
        fields: dict[str, list[str]] = {}
        for error in self.errors:
            if error.field:
                fields.setdefault(error.field, []).append(error.message)
        return fields


class RateLimitedError(APIError):
    """429: too many requests. Retrying did not help before the deadline."""

    retry_after: float | None = None
    """Seconds to wait, if the service says so; usually it does not."""


class ServerError(APIError):
    """5xx: the service failed."""


class KantataConnectionError(KantataError):
    """No connection could be made, or the connection broke."""

    def __init__(
        self, message: str, *, method: str, path: str, unsent: bool = False, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.unsent = unsent
        """Not a single byte of the request was sent, in any attempt, so nothing was carried out."""
        self.request_id = request_id
        """The request id of the response, if it had begun when the connection broke."""


class KantataTimeoutError(KantataConnectionError):
    """No connection or no response in time."""


class UnknownOutcomeError(KantataError):
    """A write may or may not have been carried out: the request was sent, but no response says what happened.

    It was not repeated, because a second POST could create a duplicate. Before you send it again, check whether it was
    carried out: search by the record's `external_reference`, or list what was created recently.
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
        """The body: decoded JSON, bytes if it was not JSON, or the fields and file names of a form."""
        self.status = status
        """Status of the response, if there was one: 5xx, or 2xx with a truncated body."""
        self.request_id = request_id


class MalformedResponseError(KantataError):
    """The response is not JSON, or does not have the structure of the operation's responses."""

    def __init__(self, message: str, *, method: str, path: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.request_id = request_id


class OAuthError(KantataError):
    """Authorization failed, and nothing was stored. `error` is the OAuth error code, if there was one."""

    def __init__(self, message: str, *, error: str | None = None) -> None:
        super().__init__(message)
        self.error = error


class NotIncludedError(KantataError, AttributeError):
    """A field or an association was read that the request did not ask for.

    It is an `AttributeError` as well, so that `hasattr` is false for it and `getattr` returns the default.
    """

    def __init__(self, model: str, association: str, advice: str) -> None:
        msg = f"{model}.{association} was not asked for, so it is not in the response: {advice}."
        super().__init__(
            msg, name=None, obj=None
        )  # with a name, Python would suggest similar ones, which were not requested either
        self.model = model
        """The class of the object."""
        self.association = association
        """The association or field that was read."""


class NotOneError(KantataError):
    """One object was expected, but the service found none or several."""


class UnstableListError(KantataError):
    """A list kept changing, so a stable walk could not continue without losing records."""


@resolvable
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
    """An attachment was created, but its file was not stored."""

    def __init__(self, message: str, *, attachment_id: int | str) -> None:
        super().__init__(message)
        self.attachment_id = attachment_id
        """The attachment that has no file: pass it to `attachments.sync` or `attachments.delete`."""


class ExportError(KantataError):
    """An export failed, was canceled, or took too long."""

    def __init__(self, message: str, *, export_id: int | str, status: str | None = None) -> None:
        super().__init__(message)
        self.export_id = export_id
        self.status = status
        """The last status that the service reported."""
