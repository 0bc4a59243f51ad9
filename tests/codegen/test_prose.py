"""Each family of phrases in several wordings, and look-alikes that must not match."""

from __future__ import annotations

import pytest

from codegen.errors import CodegenError
from codegen.markup import plain
from codegen.prose import (
    BOUND,
    DEPRECATED,
    OPTIONAL,
    RATE,
    bulk_limit,
    captured,
    default_of,
    has_own_rate_limit,
    is_list,
    most,
    read_associations,
    says,
    sent_on_request,
    values_in,
)
from tests.codegen import phrases
from tests.codegen.published import listed


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
        "A comma-separated list of geography ids, a semicolon, and a comma-separated list of department ids.",
        "Minimum and maximum, separated by a comma.",
        "",
        "Pipe-separated list of ids.",
        "A space-delimited list of ids.",
        "A list of ids, separated by pipes.",
        "A list of ids separated with `|`.",
        "Takes several ids, joined by a colon.",
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
        ("≤ 200 ids", 200),
        ("<= 1,000 ids", 1000),
        ("At the most 30.", 30),
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
        ("Valid values:\n- red\n- green\n- blue", ("red", "green", "blue")),
        ("Valid values:\n1) red\n2) blue", ("red", "blue")),
        ("<p>Allowed values</p><ol><li>red</li><li>blue</li></ol>", ("red", "blue")),
        ("Valid values:<br>- red<br/>- blue", ("red", "blue")),
        ("Possible values:\n- red: the first\n- blue: the second", ("red", "blue")),
        ("Possible values:\n  - red\n  - blue\n\nDefaults to red.", ("red", "blue")),
        ("Possible values:\n- red\n- blue\nComma-separated list.", ("red", "blue")),
        ("Possible values:\n  - red\n  - blue\n  Comma-separated", ("red", "blue")),
        ("Possible values:\n* `red` - the first,\n  which is long\n* `blue` - the second", ("red", "blue")),
        ("Possible values:\n* `red` - the first,\nwhich is long\n* `blue` - the second", ("red", "blue")),
        ("Possible values:\n- `red` - like `blue`, but darker\n- `blue`", ("red", "blue")),
        ("Possible values: `red` - the first, `blue` - the second.", ("red", "blue")),
        ("This can be set to either `red` or to `blue`.", ("red", "blue")),
        ("Enum: `red` `blue`", ("red", "blue")),
        ("The value must be in `red`, `blue`.", ("red", "blue")),
        ("Valid values => `red`, `blue`", ("red", "blue")),
        ("Valid values: <tt>red</tt> and <kbd>blue</kbd>.", ("red", "blue")),
        ("Values: `red` for the first, `blue` for the second.", ()),
        ("Can be one of `red` when new, or `blue` when old.", ()),
        ("Can be one of the members of the account.", ()),
        ("Must be one of your projects, or blank.", ()),
        ("The value is free text.", ()),
        ("Can be `true`.", ()),
        ("Use `other` instead.", ()),
        ("Use `start_date` and `end_date` to narrow it.", ()),
        ("Must be given with `start_date` or `end_date`.", ()),
        ("Either of them.", ()),
        ("Both `start` and `end` are required.", ()),
        ("`low` and `high` are supported together with `only`.", ()),
        ("`low`.", ()),
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


@pytest.mark.parametrize(
    "text",
    [
        "Any of `a` (A), `b` (B).",
        "- `a` (A) - the\nfirst of them.\n`b` (B)\n\nNot all of them are always there.",
        "| Name | Type | Description |\n| --- | :-: | --- |\n| `a` | A | The first. |\n| **b** | `B` | |\n",
        "<table><tr><th>Name</th><th>Type</th></tr><tr><td>a</td><td>A</td></tr><tr><td>b</td><td>B</td></tr></table>",
        "1. `a` (A)\n2. `b` [B]",
        "* *a*: `A`\n* _b_: B - the other",
        "- `a` (A, optional)\r\n- `b` (list of B; may be null)\r\n",
        "- `a` - A\n- `b` - B, the other",
        "- a \u2014 an A\n- b \u2013 `B`. The other.",
        "a: A\nb: a B",
        "- `a` = A\n- `b` => B objects.",
        "- `a` - the first (A)\n- `b` - the other (`B`).",
        "- `a` ([A])\n- `b` (B[])",
        "- `a` (Array&lt;A&gt;)\n- `b` (Array of B)",
        "- `a` (A), `b` (B)",
        "`a` (A)<br>`b` (list of B)",
        "- `a` (A)<br>The id is in `a_id`.\n- `b` (B, if any)",
    ],
)
def test_associations_in_other_forms(text: str) -> None:
    found = read_associations("GET /x", text, ())
    assert [(each.name, each.type) for each in found] == [("a", "A"), ("b", "B")]


@pytest.mark.parametrize(
    "line",
    ["- `a` (User or Story)", "- a: one of User, Story", "- `a` - User | Story", "`a` (one of: User, Story)"],
)
def test_several_types_are_polymorphic(line: str) -> None:
    (found,) = read_associations("GET /x", line, ())
    assert found.type == "polymorphic"


def test_titles_name_definitions_too() -> None:
    (found,) = read_associations("GET /x", "- `a` (a Time Entry)", ())
    assert found.type == "TimeEntry"


def test_code_in_quotes_is_code() -> None:
    (found,) = read_associations("GET /x", '- `a` (User) - Found in the "`users`" top-level key.', ())
    assert found.key == "users"


def test_associations_as_html() -> None:
    text = "<p>Any of:</p><ul><li><code>a</code> (A). First.</li><li><code>b</code> (B)</li></ul>"
    assert [(each.name, each.type) for each in read_associations("GET /x", text, ())] == [
        ("a", "A"),
        ("b", "B"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "- `user`",
        "- user - the creator",
        "- user - the User who made it",
        "user: the User",
        "- user: the creator",
        "and others",
        "\nand others",
        "\nAll `users`.",
    ],
)
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


@pytest.mark.parametrize(
    "text",
    [
        "Each request may take up to 30 seconds.",
        "The request returns up to 200 records.",
        "Each call answers at most 100 rows.",
        "A body of up to 10 MB.",
        "More than 100 rows are split.",
    ],
)
def test_texts_without_a_bulk_limit(text: str) -> None:
    assert bulk_limit(text) is None


@pytest.mark.parametrize("wording", phrases.LISTS)
def test_wordings_of_lists(wording: str) -> None:
    for what in ("things", "external reference service model refs"):
        assert is_list("things", plain(wording.format(what=what))), what


@pytest.mark.parametrize("wording", phrases.MAXIMA)
def test_wordings_of_maxima(wording: str) -> None:
    assert most(plain(wording.format(n=200, what="ids"))) == 200
    assert most(plain(wording.format(n="1,500", what="ids"))) == 1500
    if "`" not in wording:
        assert most(plain(wording.format(n="two hundred", what="ids"))) == 200


@pytest.mark.parametrize("wording", phrases.VALUES)
@pytest.mark.parametrize(
    "values", [("low", "high"), ("a:asc", "a:desc", "b:asc"), ("not started", "won't fix", "x<y>")]
)
def test_wordings_of_values(wording: str, values: tuple[str, ...]) -> None:
    said = wording.format(name="order", **listed(list(values)))
    for before in ("", "Some text.\n\n", *(["Some text. "] if said[0] != "|" else [])):
        assert values_in(plain(before + said))[0] == values, before


@pytest.mark.parametrize("wording", phrases.BOUND)
def test_wordings_of_bound_fields(wording: str) -> None:
    said = f"The one who made it. {wording.format(f='creator_id', a='creator')}"
    assert sent_on_request(said, {"id", "creator_id"}) == ("include", "creator")


@pytest.mark.parametrize("wording", phrases.OPTIONAL)
def test_wordings_of_optional_fields(wording: str) -> None:
    assert sent_on_request(f"How it looks. {wording}", {"id"}) == ("optional_fields", "")


@pytest.mark.parametrize(
    "text",
    [
        "Valid values include `needs info` and `completed`.",
        "Whether associations are shown.",
        "The total, including `tax`, of the invoice.",
        "Use `title` instead.",
        "Whether a change was requested.",
        "Only returned when requested by an administrator.",
        "Whether it is included.",
    ],
)
def test_fields_that_are_always_sent(text: str) -> None:
    assert sent_on_request(text, {"id", "tax"}) is None


@pytest.mark.parametrize("wording", phrases.BULK)
def test_wordings_of_bulk_limits(wording: str) -> None:
    assert bulk_limit(plain(f"Needs an administrator. {wording.format(n=100, res='cost rates')}")) == 100


@pytest.mark.parametrize("wording", phrases.RATE)
def test_wordings_of_rate_limits(wording: str) -> None:
    assert has_own_rate_limit(plain(f"Needs an administrator. {wording}"))


@pytest.mark.parametrize(
    "text",
    [
        "The general rate limits apply.",
        "It has no rate limit of its own.",
        "There is no separate rate limit.",
        "Its own record.",
    ],
)
def test_texts_without_a_rate_limit(text: str) -> None:
    assert not has_own_rate_limit(text)


@pytest.mark.parametrize("wording", phrases.DEFAULTS)
def test_wordings_of_defaults(wording: str) -> None:
    assert default_of("boolean", (), plain(f"Leaves them out. {wording.format(d='false')}")) is False


@pytest.mark.parametrize("wording", phrases.DEPRECATED)
def test_wordings_of_deprecations(wording: str) -> None:
    assert says(DEPRECATED, plain(f"Leaves them out. {wording}"))


@pytest.mark.parametrize("wording", phrases.KEYS)
def test_wordings_of_envelope_keys(wording: str) -> None:
    (found,) = read_associations("GET /x", f"- `user` (User) - The one. {wording.format(key='people')}", ())
    assert found.key == "people"


@pytest.mark.parametrize("wording", phrases.FIELDS)
def test_wordings_of_fields_with_ids(wording: str) -> None:
    line = f"- `user` (User) - The one. {wording.format(f='owner_id')}"
    assert read_associations("GET /x", line, ())[0].field == "owner_id"


@pytest.mark.parametrize("wording", phrases.ASSOCIATIONS)
@pytest.mark.parametrize("kind", ["User", "Users::Base", *phrases.POLYMORPHIC])
def test_wordings_of_associations(wording: str, kind: str) -> None:
    lines = "\n".join(wording.format(a=name, t=kind, w="thing") for name in ("user", "time_entry"))
    expected = kind if kind[0] == "U" else "polymorphic"
    found = read_associations("GET /x", f"Any of these:\n\n{lines}", ())
    assert [(each.name, each.type) for each in found] == [("user", expected), ("time_entry", expected)]


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
        ("boolean", "True if empty.", None),
        ("boolean", "True when missing a rate.", None),
        ("boolean", "True if left out of the plan.", None),
        ("boolean", "True unless archived.", None),
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
