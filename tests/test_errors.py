"""Errors: from any answer to a sentence, and through pickle."""

from __future__ import annotations

import ast
import copy
import json
import pickle
from pathlib import Path

import pytest

from kantata_client import errors
from kantata_client.errors import ErrorDetail
from kantata_client.errors.responses import error_from_response, retry_after

BY_STATUS = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.APIError,
    422: errors.ValidationError,
    429: errors.RateLimitedError,
    500: errors.ServerError,
    503: errors.ServerError,
    504: errors.ServerError,
}


def body(*entries: object) -> bytes:
    return json.dumps({"errors": entries}).encode()


@pytest.mark.parametrize("status", BY_STATUS)
def test_the_status_determines_the_class_and_the_message_is_complete(status):
    content = body({"type": "system", "message": "Broken."})
    error = error_from_response(status, {"x-request-id": "abc"}, content, "GET", "/stories/7")
    assert type(error) is BY_STATUS[status]
    assert (error.status, error.method, error.path, error.request_id) == (status, "GET", "/stories/7", "abc")
    assert error.errors == (ErrorDetail("system", "Broken."),)
    assert str(error).startswith(f"GET /stories/7 failed with {status}: Broken. ")
    assert str(error).endswith("(request id abc)")


@pytest.mark.parametrize(
    ("status", "path", "word"),
    [
        (401, "/stories", "revoked"),
        (403, "/stories", "administrator"),
        (404, "/stories/7", "include_archived"),
        (404, "/storys", "base_url"),
        (504, "/stories", "per_page"),
    ],
)
def test_the_message_gives_advice(status, path, word):
    assert word in str(error_from_response(status, {}, b"", "GET", path))


def test_a_404_of_a_write_does_not_mention_filters():
    assert "include_archived" not in str(error_from_response(404, {}, b"", "DELETE", "/stories/7"))


def test_validation_errors_are_grouped_by_field():
    content = body(
        {"type": "validation", "message": "can't be blank", "field": "title"},
        {"type": "validation", "message": "is too short", "field": "title"},
        {"type": "validation", "message": "No such project."},
    )
    error = error_from_response(422, {}, content, "POST", "/stories")
    assert isinstance(error, errors.ValidationError)
    assert error.fields == {"title": ["can't be blank", "is too short"]}
    assert "title: can't be blank; title: is too short; No such project." in str(error)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no explanation was given"),
        (b"{}", "no explanation was given"),
        (b"null", "no explanation was given"),
        (b"[1]", "[1]"),
        (
            b"<html><head><title>502 Bad &amp; Gateway</title></head><body>x</body></html>",
            "502 Bad & Gateway",
        ),
        (b"<h1>Gone</h1>\n<script>if (a < b) {}</script> away", "Gone away"),
        (b"\xff\xfe not text", "\ufffd\ufffd not text"),
        (b"x" * 10_000, "x" * 300 + "…"),
        (b"[" * 100_000, "[" * 300 + "…"),
        (
            b'{"errors": {"title": ["is bad", "is long"], "base": "no"}}',
            "title: is bad; title: is long; base: no",
        ),
        (b'{"errors": ["one", {"message": null}]}', "one; no message"),
        (b'{"errors": "alone"}', "alone"),
        (b'{"error": "invalid_grant", "error_description": "The code is used up"}', "The code is used up"),
        (b'{"error": "invalid_client"}', "invalid_client"),
        (b'{"message": "short"}', "short"),
    ],
    ids=str,
)
def test_a_body_of_any_kind_is_summarized(content, said):
    message = str(error_from_response(500, {}, content, "GET", "/x"))
    assert message.startswith(f"GET /x failed with 500: {said}"), message
    assert len(message) < 500


def test_a_redirect_error_shows_only_the_host():
    headers = {"location": "https://cdn.example/file?signature=hidden"}
    error = error_from_response(302, headers, b"", "GET", "/x")
    assert type(error) is errors.APIError
    assert "https://cdn.example" in str(error)
    assert "hidden" not in str(error)
    assert "base_url" in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("0.5", 0.5),
        (".25", 0.25),
        ("9" * 400, float("inf")),
        ("Thu, 01 Jan 1970 00:01:10", 60.0),
        ("Thu, 01 Jan 1970 00:01:10 -0000", 60.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300789.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("1.2.3", None),
        (".", None),
        ("1e9", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("-3", None),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_parsed(value, seconds):
    assert retry_after({"retry-after": value}, now=10.0) == seconds
    if seconds == 120.0:
        error = error_from_response(429, {"retry-after": value}, b"", "GET", "/x")
        assert isinstance(error, errors.RateLimitedError)
        assert error.retry_after == seconds
        assert "The service asks to wait 120 s." in str(error)


@pytest.mark.parametrize(
    "error",
    [
        error_from_response(
            422, {"x-request-id": "r"}, body({"message": "no", "field": "title"}), "POST", "/x"
        ),
        errors.UsageError("2 items are wrong", details=["a", "b"], consequence="Nothing more was sent."),
        errors.KantataTimeoutError("late", method="GET", path="/x"),
        errors.UnknownOutcomeError("who knows", method="POST", path="/x", sent={"a": [1]}, status=502),
        errors.MalformedResponseError("garbled", method="GET", path="/x", request_id="r"),
        errors.OAuthError("denied", error="access_denied"),
        errors.NotIncludedError("Story", "assignees", "include it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickle_and_copy(error):
    error.add_note("and a note")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"problem": "path is empty"}, "path is empty. Nothing was sent."),
        ({"problem": "path is empty."}, "path is empty. Nothing was sent."),
        ({"problem": "did you mean 'id'?"}, "did you mean 'id'? Nothing was sent."),
        (
            {"problem": "it is closed", "consequence": "Nothing more was sent."},
            "it is closed. Nothing more was sent.",
        ),
        ({"problem": "there is no such seed", "consequence": ""}, "there is no such seed."),
        (
            {"problem": "2 of 9 items are invalid", "details": ["items[1]: no id.", "items[7]: no id."]},
            "2 of 9 items are invalid. Nothing was sent.\n  items[1]: no id.\n  items[7]: no id.",
        ),
    ],
)
def test_a_usage_error_says_what_happened_to_the_request(given, message):
    error = errors.UsageError(**given)
    assert str(error) == message
    assert str(error).startswith(error.problem)


def test_only_usage_error_writes_that_nothing_was_sent():
    package = Path(errors.__file__).parent
    for module in package.rglob("*.py"):
        if module.parent == package:
            continue
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UsageError":
                assert "Nothing was sent" not in ast.unparse(node), f"{module}:{node.lineno}"


def test_the_documented_tree_matches_the_classes():
    assert issubclass(errors.UsageError, ValueError)
    assert issubclass(errors.KantataTimeoutError, errors.KantataConnectionError)
    for name, kind in vars(errors).items():
        if name.endswith("Error"):
            assert issubclass(kind, errors.KantataError), name


@pytest.mark.parametrize(
    "content",
    [
        body({"type": "val\x1bidation", "message": "no\x1b[31m\r\nFORGED line", "field": "ti\x07tle\u202e"}),
        b'{"errors": {"ti\\u001btle": ["no\\u001b[2J", 7]}}',
        b'{"error": "x\\u009b1m", "error_description": "y\\u001b]0;title\\u0007"}',
        b'"text\\u001b[1m"',
        b"<title>Gone\x1b[2J</title>",
        b"plain \x1b[2Jtext \x7f",
    ],
)
def test_control_characters_of_the_service_are_escaped(content: bytes) -> None:
    error = error_from_response(422, {}, content, "POST", "/x")
    assert str(error).isprintable()
    assert all(f"{detail}{detail.type}".isprintable() for detail in error.errors)
