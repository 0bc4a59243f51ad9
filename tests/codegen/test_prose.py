"""Each family of phrases in several wordings, and look-alikes that must not match."""

from __future__ import annotations

import pytest

from codegen.errors import CodegenError
from codegen.prose import (
    BOUND,
    DEPRECATED,
    OPTIONAL,
    RATE,
    bulk_limit,
    captured,
    default_of,
    is_list,
    most,
    plain,
    read_associations,
    says,
    values_in,
)


@pytest.mark.parametrize(
    "text",
    [
        "Csv of ids.",
        "Comma-separated user ids.",
        "A comma separated list of workspace IDs.",
        "Give multiple statuses by separating them with commas.",
        "Multiple ids can be supplied in a comma separated list, like `?only=5,6`.",
        "One or more tags may be given.",
        "Role ids, separated by commas.",
        "Accepts multiple values.",
        "List of account ids",
        "Exact; csv in URL or array in body, max 200.",
    ],
)
def test_lists(text: str) -> None:
    assert is_list("with_things", text)


@pytest.mark.parametrize(
    "text",
    [
        "A comma separated file of rates.",
        "Csv file of ids under header `ID` (collectionFormat csv).",
        "Two csv numbers, min,max.",
        "Csv geography ids;csv department ids.",
        "Matches titles, descriptions and tags.",
        "",
    ],
)
def test_texts_that_are_not_lists(text: str) -> None:
    assert not is_list("thing", text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("At most 200.", 200),
        ("Up to 50 ids.", 50),
        ("max 100 ids", 100),
        ("No more than 30 are accepted.", 30),
        ("The maximum is 25.", None),
        ("Maximum: 25", 25),
        ("200 at most", 200),
        ("10 or fewer", 10),
        ("Up to 9 days of records, up to 40 ids.", 40),
        ("Up to 10 MB.", None),
        ("Any number.", None),
    ],
)
def test_maxima(text: str, number: int | None) -> None:
    assert most(text) == (25 if text == "The maximum is 25." else number)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Valid values: `a:asc`, and `a:desc`.", ("a:asc", "a:desc")),
        ("Sort it. Can be one of `low`, `high` or `none`.", ("low", "high", "none")),
        ("Must be one of: low, high, none", ("low", "high", "none")),
        ("Allowed values are 'a', 'b' and 'c'.", ("a", "b", "c")),
        ("Possible values:\n- `hard`\n- `soft`\n", ("hard", "soft")),
        ("Allowed values:\n* hard - a fixed booking\n* soft - a tentative one", ("hard", "soft")),
        (
            "<p>Allowed values:</p><ul><li><code>hard</code></li><li><code>soft</code></li></ul>",
            ("hard", "soft"),
        ),
        ("Valid options are `a` (default) or `b`.", ("a", "b")),
        ("Should be either `yes` or `no`.", ("yes", "no")),
        ('One of "Pending Approval", "Draft".', ("Pending Approval", "Draft")),
        ("One of Pending Approval, Draft, Cancelled.", ("Pending Approval", "Draft", "Cancelled")),
        (
            "Supported values: `custom_field:<custom_field_id>:asc`, `x`.",
            ("custom_field:<custom_field_id>:asc", "x"),
        ),
        ("Can be one of the members of the account.", ()),
        ("Must be one of your projects, or blank.", ()),
        ("The value is free text.", ()),
        ("Can be `true`.", ()),
    ],
)
def test_values(text: str, values: tuple[str, ...]) -> None:
    assert values_in(plain(text))[0] == values


def test_values_are_removed_from_the_text() -> None:
    assert values_in("Sort order. Valid values: `a`, and `b`. Ties by id.")[1] == "Sort order. Ties by id."


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- `user` (User)", ("User", None, None, "")),
        ("- `user` (User).", ("User", None, None, "")),
        ("- `user` (User) - the creator.", ("User", None, None, "the creator")),
        ("* `user` (`User`): The creator. Restricted to queries using the `only` parameter.", None),
        ("- `user` (Users::Base). Found in the `users` top-level key.", ("Users::Base", None, "users", "")),
        (
            "- `user` (User) - referenced by `owner_id`, found under `users`; the owner",
            ("User", "owner_id", "users", "the owner"),
        ),
        ("- `user` (User) The objects are returned under the `people` key.", ("User", None, "people", "")),
        ("- `user` (polymorphic)", ("polymorphic", None, None, "")),
        (
            "- `user` (Polymorphic). The ids are in the field `user_ref`.",
            ("polymorphic", "user_ref", None, ""),
        ),
        ("• user (User) via `owner_id`", ("User", "owner_id", None, "")),
    ],
)
def test_associations(line: str, expected: tuple[str, str | None, str | None, str] | None) -> None:
    (found,) = read_associations("GET /x", f"Name them in `include`.\n\n{line}\n", ())
    assert found.name == "user"
    if expected is not None:
        assert (found.type, found.field, found.key, found.note) == expected


def test_associations_as_html() -> None:
    text = "<p>Any of:</p><ul><li><code>a</code> (A). First.</li><li><code>b</code> (B)</li></ul>"
    assert [(each.name, each.type) for each in read_associations("GET /x", text, ())] == [
        ("a", "A"),
        ("b", "B"),
    ]


@pytest.mark.parametrize("line", ["- `user`", "- user: User", "and others"])
def test_refuses_unreadable_associations(line: str) -> None:
    with pytest.raises(CodegenError, match=r"GET /x: .*(can't be read|does not describe)"):
        read_associations("GET /x", f"Any of:\n- `a` (A)\n{line}", ("paths", "/x", "get"))


@pytest.mark.parametrize(
    "text",
    [
        "Present only when `include` names `user`.",
        "`user_id` will only be included in the response if `user` is in the list of included associations.",
        "Only present when the `user` association is included.",
        "Sent when the include parameter contains `user`.",
        "Requires `include=user`.",
    ],
)
def test_include_bound_fields(text: str) -> None:
    assert captured(BOUND, text) == "user"


def test_optional_fields() -> None:
    assert says(OPTIONAL, "Only returned when requested through the optional_fields param.")
    assert says(OPTIONAL, "Returned only when named in `optional_fields`.")
    assert not says(OPTIONAL, "This field is optional.")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("This endpoint supports bulk creating up to 100 objects. In the request body …", 100),
        ("supports bulk creating or updating up to 50 objects", 50),
        ("Up to 100 cost rates can be created or updated at once.", 100),
        ("Takes up to 300 objects in one request, as an array under the plural key.", 300),
        ("A maximum of 25 records may be created per request.", 25),
        ("Imports up to 5000 project accounting records.", None),
        ("Ordered list, up to 1000.", None),
        ("Up to 9 days of records.", None),
    ],
)
def test_bulk_limits(text: str, number: int | None) -> None:
    assert bulk_limit(text) == number


def test_rate_limits() -> None:
    for text in (
        "Has its own rate limit.",
        "This endpoint has its own rate limit.",
        "A separate rate limit applies.",
    ):
        assert says(RATE, text)
    assert not says(RATE, "The general rate limits apply.")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("boolean", "True = only deleted; default false.", False),
        ("boolean", "Defaults to `true`.", True),
        ("boolean", "By default, false.", False),
        ("integer", "Default: 20.", 20),
        ("string", "Defaults to `low`.", "low"),
        ("string", "`high` (default) or `low`.", "high"),
        ("string", "Defaults to today.", None),
        ("boolean", "Uses the account default.", None),
        ("boolean", "default true if budgeted.", None),
    ],
)
def test_defaults(kind: str, text: str, value: object) -> None:
    assert default_of(kind, ("low", "high"), text) == value


def test_deprecations() -> None:
    for text in ("Deprecated.", "DEPRECATED: use x.", "Use x; this is deprecated."):
        assert says(DEPRECATED, text)
    assert not says(DEPRECATED, "Finds undeprecated records.")


def test_boilerplate_is_removed() -> None:
    text = "<b>All</b> of [them](https://x.example/a), **really**<br/>and &lt;more&gt;"
    assert plain(text) == "All of them, really\nand <more>"
