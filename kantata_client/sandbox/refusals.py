"""Refusals: error responses of the sandbox as exceptions, with the error body of the API."""

from __future__ import annotations

from typing import Any

RATE_LIMITED = "You have exceeded the rate limit. Wait a little and try again."


class Refusal(Exception):  # noqa: N818 - a response of the API, not an error of the program
    """An error response: HTTP status and the entries of the `errors` array in its body."""

    def __init__(self, status: int, *errors: dict[str, Any]) -> None:
        super().__init__(status, *errors)
        self.status = status
        self.errors = list(errors)


def system(status: int, message: str) -> Refusal:
    """An error of the request as a whole."""
    return Refusal(status, {"type": "system", "message": message})


def bad_request(message: str) -> Refusal:
    """400: the query or the shape of the body is invalid."""
    return system(400, message)


def unauthorized() -> Refusal:
    """401, in the service's words for a missing or wrong token."""
    return Refusal(401, {"type": "oauth", "message": "Invalid OAuth 2 Request"})


def not_found(message: str) -> Refusal:
    """404: no such route or record, or a record that a default filter hides."""
    return system(404, message)


def too_many_requests() -> Refusal:
    """429: a rate limit is exceeded."""
    return system(429, RATE_LIMITED)


def not_emulated(message: str) -> Refusal:
    """501: the contract describes it, but the sandbox does not emulate it."""
    return system(501, f"The sandbox does not emulate {message}.")


def invalid(field: str, message: str, item: int | None = None) -> dict[str, Any]:
    """One entry of a 422 body: what is wrong with a field; `item` is the index (from 0) in a bulk request."""
    prefix = "" if item is None else f"Item {item}: "
    return {"type": "validation", "message": f"{prefix}{message}", "field": field}
