"""Build the error for a request that failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kantata_client._http.messages import Failure, Response
from kantata_client.errors import (
    KantataConnectionError,
    KantataError,
    KantataTimeoutError,
    UnknownOutcomeError,
)
from kantata_client.errors.responses import error_from_response

if TYPE_CHECKING:
    from kantata_client._http.messages import Request
    from kantata_client._http.tokens import Secret


def problem(
    request: Request,
    base_url: str,
    outcome: Response | Failure,
    secret: Secret | None,
    attempts: int,
    *,
    unknown: bool,
    lost: bool,
) -> KantataError:
    """Build the error for a request from the outcome of its last attempt.

    Args:
        request: The request.
        base_url: The API's base URL.
        outcome: The outcome of the last attempt.
        secret: The token, which is removed from the message.
        attempts: The number of attempts.
        unknown: The request may have been carried out, and must not be repeated.
        lost: An earlier attempt got no usable response.
    """
    method, path, from_api = request.method, request.path_below(base_url), request.is_below(base_url)
    if unknown:
        reason = reason_of(outcome)
        if isinstance(outcome, Response):
            content = _quotable(outcome, secret, from_api=from_api)
            reason = str(error_from_response(outcome.status, outcome.headers, content, method, path))
        return UnknownOutcomeError(
            f"{method} {path} may or may not have been carried out: {reason.rstrip('.')}. "
            "It was not sent again, because that could create a duplicate: first check whether it was carried out.",
            method=method,
            path=path,
            sent=_sent(request),
            status=outcome.status,
            request_id=outcome.request_id,
        )
    tries = f" ({attempts} attempts)" if attempts > 1 else ""
    if isinstance(outcome, Failure):
        unsent = outcome.unsent and not lost
        advice = "Nothing was carried out." if unsent else ""
        if outcome.advice:
            advice += f" {outcome.advice}"
        elif outcome.unsent:
            advice += " Check base_url, the network and the proxy settings."
        elif method in ("PUT", "DELETE"):
            advice = "It may have been carried out. Sending it again is safe."
        elif outcome.timeout:
            advice = "Ask for less at once (per_page, includes, a narrower filter), or try later."
        else:
            advice = "Try again later."
        return connection_error(outcome, request, path, advice.strip(), tries, unsent=unsent)
    content = _quotable(outcome, secret, from_api=from_api)
    error = error_from_response(outcome.status, outcome.headers, content, method, path)
    if tries:
        error.add_note(f"This was the response to the last of {attempts} attempts.")
    return error


def connection_error(
    failure: Failure, request: Request, path: str, advice: str, tries: str = "", *, unsent: bool = False
) -> KantataConnectionError:
    """The error for a connection that could not be made, or that broke."""
    kind = KantataTimeoutError if failure.timeout else KantataConnectionError
    message = f"{request.method} {path}: {failure.reason.rstrip('.')}{tries}. {advice}"
    if failure.request_id:
        message += f" (request id {failure.request_id})"
    return kind(message, method=request.method, path=path, unsent=unsent, request_id=failure.request_id)


def reason_of(outcome: Response | Failure) -> str:
    """Why an attempt failed, in a few words."""
    return outcome.reason if isinstance(outcome, Failure) else f"status {outcome.status}"


def _quotable(response: Response, secret: Secret | None, *, from_api: bool) -> bytes:
    """The part of a response that an error may quote."""
    if not from_api:
        # Error responses of S3 repeat the signature and the signed text, so only the error code is quoted.
        code = re.search(rb"<Code>(\w{1,60})</Code>", response.content)
        return code[1] if code else b""
    return secret.redact(response.content) if secret else response.content


def _sent(request: Request) -> Any:
    """The body for `UnknownOutcomeError.sent`."""
    if request.confidential:
        return None
    if request.form is not None:
        return dict(request.form.fields) | {file.name: file.filename for file in request.form.files}
    if request.content is None:
        return None
    import json

    try:
        return json.loads(request.content)
    except ValueError:
        return request.content
