"""The filters of lists: those of every list, those whose names say it all, and those that need a rule.

A filter that is not known here is refused with 501 instead of being ignored.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from kantata_client.sandbox import _contract
from kantata_client.sandbox._errors import Refusal, bad_request, not_emulated
from kantata_client.sandbox._relations import DERIVED, listed, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kantata_client._contract import Operation
    from kantata_client.sandbox._relations import Scope
    from kantata_client.sandbox._store import Record

BOOLEANS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


class Match(NamedTuple):
    """What a filter leaves: the ids it allows (None: any), and a test of the record."""

    ids: frozenset[str] | None = None
    keep: Callable[[Record], bool] | None = None


EVERYTHING = Match()


def _where(keep: Callable[[Record], bool]) -> Match:
    return Match(None, keep)


def _among(ids: frozenset[str]) -> Match:
    return Match(ids, None)


def apply(
    scope: Scope, operation: Operation, key: str, values: dict[str, str], only: Iterable[str] | None
) -> list[Record]:
    """The records under an envelope key that the filters leave, in order of id."""
    if "search" in values and only is not None:
        raise bad_request("`search` can't be combined with `only`.")
    matches = [_external(scope, key, values)]
    for name, value in values.items():
        if not name.startswith(_EXTERNAL):
            matches.append(_match(scope, operation, key, name, value))
    matches += [
        match for match in (rule(scope, values) for rule in DEFAULTS.get(key, ())) if match is not None
    ]
    allowed = [match.ids for match in matches if match.ids is not None]
    if only is not None:
        allowed.append(frozenset(only))
    tests = [match.keep for match in matches if match.keep is not None]
    store = scope.store
    if allowed:
        smallest = min(allowed, key=len)
        found = [store.get(key, i) for i in smallest if all(i in ids for ids in allowed)]
        records = [record for record in found if record is not None]
    else:
        records = store.all(key)
    records = [record for record in records if all(test(record) for test in tests)] if tests else records
    return sorted(records, key=_by_id)


def _by_id(record: Record) -> tuple[int, str]:
    identity: str = record["id"]
    return (int(identity), "") if identity.isdigit() else (0, identity)


def _match(scope: Scope, operation: Operation, key: str, name: str, value: str) -> Match:
    rule = RULES.get((key, name)) or _COMMON.get(name) or _by_name(key, name)
    if rule is not None:
        try:
            return rule(scope, value)
        except Refusal as refusal:
            for error in refusal.errors:
                error["message"] = f"`{name}`: {error['message']}"
            raise
    parameter = operation.query.get(name)
    if (
        parameter is not None
        and parameter.default is not None
        and str(parameter.default).lower() == value.lower()
    ):
        return EVERYTHING
    raise not_emulated(f"the parameter `{name}` of {operation.id}")


# What filters are made of


def _flag(value: str) -> bool:
    if value not in BOOLEANS:
        raise bad_request(f"It takes true or false, not {value!r}.")
    return BOOLEANS[value]


def _csv(value: str) -> frozenset[str]:
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def _test(keep: Callable[[Scope, Record], bool]) -> Callable[[Scope, str], Match]:
    """Only the records that pass, when true; no filter when false."""
    return lambda scope, value: _where(lambda record: keep(scope, record)) if _flag(value) else EVERYTHING


def _either(keep: Callable[[Scope, Record], bool]) -> Callable[[Scope, str], Match]:
    """Those that pass, when true; the others, when false."""

    def rule(scope: Scope, value: str) -> Match:
        wanted = _flag(value)
        return _where(lambda record: keep(scope, record) == wanted)

    return rule


def _always(keep: Callable[[Scope, Record], bool]) -> Callable[[Scope, str], Match]:
    """Those that pass, whatever the value: the contract has filters that ignore it."""
    return lambda scope, value: _where(lambda record: keep(scope, record))


def _nothing(scope: Scope, value: str) -> Match:
    """A filter that changes nothing here: the sandbox has one account, whose members see everything."""
    return EVERYTHING


def _in(field: str) -> Callable[[Scope, str], Match]:
    """Those whose field is one of the values, or whose list has one of them."""

    def rule(scope: Scope, value: str) -> Match:
        wanted = _csv(value) | {value}

        def keep(record: Record) -> bool:
            return any(str(item) in wanted for item in listed(record.get(field)))

        return _where(keep)

    return rule


def _indexed(field: str) -> Callable[[Scope, str, str], frozenset[str]]:
    """As `_in`, for references: answered from an index."""

    def find(scope: Scope, key: str, value: str) -> frozenset[str]:
        return frozenset(identity for word in _csv(value) for identity in scope.store.find(key, field, word))

    return find


def _between(field: str) -> Callable[[Scope, str], Match]:
    """Dates from the first to the second, both included, either may be left out: `2026-01-01:2026-01-31`."""

    def rule(scope: Scope, value: str) -> Match:
        first, last = _range(value)
        return _where(lambda record: first <= (record.get(field) or "")[:10] <= (last or "9"))

    return rule


def _range(value: str) -> tuple[str, str]:
    """The first and the last date; empty where it is open."""
    first, colon, last = value.partition(":")
    if not colon or ":" in last:
        raise bad_request(f"{value!r} is not a range of dates such as 2026-01-01:2026-01-31.")
    return first and _day(first), last and _day(last)


def _day(value: str) -> str:
    """A date, or the date of a time, as records have it."""
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        raise bad_request(f"{value!r} is no date such as 2026-01-31.") from None


def _text(*fields: str) -> Callable[[Scope, str], Match]:
    """Those that have the text in one of the fields, in any case."""

    def rule(scope: Scope, value: str) -> Match:
        wanted = value.casefold()
        return _where(lambda record: any(wanted in str(record.get(f) or "").casefold() for f in fields))

    return rule


def _linked(link: str, target: str, rule: Callable[[Scope, str], Match]) -> Callable[[Scope, str], Match]:
    """Those whose linked record passes."""

    def linked(scope: Scope, value: str) -> Match:
        keep = rule(scope, value).keep

        def test(record: Record) -> bool:
            other = scope.store.get(target, record.get(link))
            return other is not None and (keep is None or keep(other))

        return _where(test)

    return linked


# Filters that every list can have

_EXTERNAL = ("external_reference_", "has_external_references", "without_external_reference_")


def _external(scope: Scope, key: str, values: dict[str, str]) -> Match:
    """The filters by external reference: one reference has to pass them all."""
    store = scope.store
    asked = {
        n.removeprefix("external_reference_"): v for n, v in values.items() if n.startswith(_EXTERNAL[0])
    }
    ids: frozenset[str] | None = None
    if asked:
        refs = asked.pop("service_model_refs", None)
        one = asked.pop("service_model_ref", None)
        words = [word.strip() for word in (refs or one or "").split(",")]
        if len(words) > 200:
            raise bad_request("`external_reference_service_model_refs` takes at most 200 ids.")
        if refs is None and one is None:
            references = store.all("external_references")
        else:
            references = [
                r for w in words for r in store.where("external_references", "service_model_ref", w)
            ]
        ids = frozenset(
            reference["subject_ref"]["id"]
            for reference in references
            if reference["subject_ref"]["key"] == key
            and all(str(reference.get(field)) == value for field, value in asked.items())
        )
    provider = values.get("without_external_reference_service_name")
    has = values.get("has_external_references")

    def keep(record: Record) -> bool:
        found = store.where("external_references", "subject_ref", subject(key, record["id"]))
        if has is not None and bool(found) != _flag(has):
            return False
        return all(reference["service_name"] != provider for reference in found)

    return Match(ids, keep if provider is not None or has is not None else None)


def _moment(field: str, after: bool) -> Callable[[Scope, str], Match]:
    """Later, or earlier, than a time; the time itself is left out."""
    from datetime import UTC, datetime

    def rule(scope: Scope, value: str) -> Match:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Stored times are UTC with seconds; a fraction matters for the comparison of strings.
        wanted = (
            moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S" + (".%f" if moment.microsecond else "")) + "Z"
        )

        def seconds(record: Record) -> str:
            found: str = record.get(field) or ""
            return found.removesuffix("Z") + ".000000Z" if found and moment.microsecond else found

        if after:
            return _where(lambda record: seconds(record) > wanted)
        return _where(lambda record: "" < seconds(record) < wanted)

    return rule


_COMMON: Mapping[str, Callable[[Scope, str], Match]] = {
    "created_after": _moment("created_at", after=True),
    "created_before": _moment("created_at", after=False),
    "updated_after": _moment("updated_at", after=True),
    "updated_before": _moment("updated_at", after=False),
    "matching": _text("title", "name", "full_name", "label", "email_address", "hex"),
    "search": _text("title", "name", "full_name", "description", "message", "email_address", "notes"),
    "by_full_name": _text("full_name"),
    "by_title": _text("title"),
    "on_my_account": _nothing,
    "all_on_account": _nothing,
    "except": lambda scope, value: _where(lambda record: record["id"] not in _csv(value)),
    "ids": lambda scope, value: _among(_csv(value)),
}


# Filters whose names say it all


def _by_name(key: str, name: str) -> Callable[[Scope, str], Match] | None:
    """The meaning of a filter named after a field: `workspace_id`, `with_user_ids`, `due_before`."""
    kinds = _contract.model(key).kinds
    bare = name
    for prefix in ("with_", "by_", "for_"):
        bare = bare.removeprefix(prefix)
    for candidate in dict.fromkeys((name, bare)):
        for field in (candidate, _one(candidate), f"{_one(candidate)}s", f"{candidate}_id"):
            if field in kinds:
                return _equal(key, field, kinds[field])
        for ending, made in (
            ("_between", _between),
            ("_after", _later),
            ("_before", _sooner),
            ("_on", _same_day),
        ):
            if candidate.endswith(ending):
                stem = candidate.removesuffix(ending)
                for field in (stem, f"{stem}_date", f"{stem}_at"):
                    if kinds.get(field) in {"date", "datetime"}:
                        return made(field)
    if bare in {"workspace_id", "workspace_ids"} and "story_id" in kinds:
        return _linked("story_id", "stories", _in("workspace_id"))
    return None


def _one(name: str) -> str:
    return name.removesuffix("s") if name.endswith("_ids") else name


def _equal(key: str, field: str, kind: str) -> Callable[[Scope, str], Match] | None:
    if kind == "bool":
        return _either(lambda _, record: bool(record.get(field)))
    if (key, field) in DERIVED or kind not in _contract.SCALARS:
        return None
    if field.endswith(("_id", "_ids")):
        find = _indexed(field)
        return lambda scope, value: _among(find(scope, key, value))
    return _in(field)


def _later(field: str) -> Callable[[Scope, str], Match]:
    def rule(scope: Scope, value: str) -> Match:
        day = _day(value)
        return _where(lambda record: (record.get(field) or "")[:10] >= day)

    return rule


def _sooner(field: str) -> Callable[[Scope, str], Match]:
    def rule(scope: Scope, value: str) -> Match:
        day = _day(value)
        return _where(lambda record: "" < (record.get(field) or "")[:10] <= day)

    return rule


def _same_day(field: str) -> Callable[[Scope, str], Match]:
    def rule(scope: Scope, value: str) -> Match:
        day = _day(value)
        return _where(lambda record: (record.get(field) or "")[:10] == day)

    return rule


# Filters with a meaning of their own


def _archived(scope: Scope, record: Record) -> bool:
    """Whether a record belongs to an archived workspace."""
    workspace = scope.store.get("workspaces", record.get("workspace_id"))
    return workspace is not None and bool(workspace.get("archived"))


def _invoiced(scope: Scope, record: Record) -> bool:
    return record.get("invoice_id") is not None


def _approved(scope: Scope, record: Record) -> bool:
    submissions = "expense_report_submissions" if "amount_in_cents" in record else "timesheet_submissions"
    submission = scope.store.get(submissions, record.get("active_submission_id")) or {}
    if record.get("approved") or submission.get("status") == "approved":
        return True
    workspace = scope.store.get("workspaces", record.get("workspace_id")) or {}
    field = "require_expense_approvals" if "amount_in_cents" in record else "require_time_approvals"
    return not workspace.get(field)


def _membership(scope: Scope, user: Record) -> Record:
    found = scope.store.where("account_memberships", "user_id", user["id"])
    return found[0] if found else {}


def _participants(scope: Scope, value: str) -> frozenset[str]:
    return frozenset(
        row["user_id"]
        for word in _csv(value)
        for row in scope.store.where("participations", "workspace_id", word)
    )


def _participates(link: str) -> Callable[[Scope, str], Match]:
    """Records of the users who take part in a workspace."""

    def rule(scope: Scope, value: str) -> Match:
        users = _participants(scope, value)
        return _where(lambda record: str(record.get(link)) in users)

    return rule


def _without(rule: Callable[[Scope, str], Match]) -> Callable[[Scope, str], Match]:
    def opposite(scope: Scope, value: str) -> Match:
        keep = rule(scope, value).keep
        return _where(lambda record: keep is not None and not keep(record))

    return opposite


def _workspaces_of(scope: Scope, value: str) -> Match:
    words = _csv(value)
    return _among(
        frozenset(
            row["workspace_id"]
            for word in words
            for row in scope.store.where("participations", "user_id", word)
        )
    )


def _workspaces_of_mavens(scope: Scope, value: str) -> Match:
    rows = [row for word in _csv(value) for row in scope.store.where("participations", "user_id", word)]
    return _among(frozenset(row["workspace_id"] for row in rows if row.get("role") == "maven"))


def _takes_part(role: str) -> Callable[[Scope, Record], bool]:
    def takes_part(scope: Scope, user: Record) -> bool:
        rows = scope.store.where("participations", "user_id", user["id"])
        return any(row.get("role") == role for row in rows)

    return takes_part


def _skilled(scope: Scope, user: str, skills: str) -> bool:
    rows = scope.store.where("skill_memberships", "user_id", user)
    return any(row["skill_id"] in _csv(skills) for row in rows)


def _named(scope: Scope, allocation: Record) -> bool:
    resource = scope.store.get("workspace_resources", allocation.get("workspace_resource_id")) or {}
    return resource.get("user_id") is not None


def _assigned(scope: Scope, value: str) -> Match:
    words = _csv(value)
    rows = [row for word in words for row in scope.store.where("assignments", "assignee_id", word)]
    ids = {row["story_id"] for row in rows if row.get("current") is not False}
    if "unassigned" in words:
        taken = {row["story_id"] for row in scope.store.all("assignments") if row.get("current") is not False}
        ids |= set(scope.store.ids("stories")) - taken
    if "unnamed" in words:
        raise not_emulated("assignments to unnamed resources")
    return _among(frozenset(ids))


def _tagged(scope: Scope, value: str) -> Match:
    names = {name.casefold() for name in _csv(value)}
    tags = {tag["id"] for tag in scope.store.all("tags") if tag["name"].casefold() in names}
    return _where(lambda record: not tags.isdisjoint(record.get("tag_ids") or ()))


def _followed(scope: Scope, value: str) -> Match:
    followers = DERIVED["stories", "follower_ids"]
    words = _csv(value)
    return _where(lambda record: not words.isdisjoint(map(str, followers(scope, record))))


def _either_date(scope: Scope, value: str) -> Match:
    tests = [_between(field)(scope, value).keep for field in ("start_date", "due_date")]
    return _where(lambda record: any(test is not None and test(record) for test in tests))


def _three(field: str) -> Callable[[Scope, str], Match]:
    """`include`, `only` and `exclude`; see `DEFAULTS` for what happens without it."""

    def rule(scope: Scope, value: str) -> Match:
        if value == "include":
            return EVERYTHING
        if value not in {"only", "exclude"}:
            raise bad_request("It takes include, only or exclude.")
        return _where(lambda record: bool(record.get(field)) == (value == "only"))

    return rule


def _overlap(scope: Scope, value: str) -> Match:
    first, last = _range(value)
    return _where(
        lambda record: (
            (record.get("start_date") or "") <= (last or "9") and (record.get("end_date") or "9") >= first
        )
    )


def _completed(scope: Scope, record: Record) -> bool:
    return record.get("state") in {
        "completed",
        "fixed",
        "duplicate",
        "can't reproduce",
        "resolved",
        "won't fix",
    }


def _is_reply(post: Record) -> bool:
    above: dict[str, str] = post.get("subject_ref") or {}
    return above.get("key") == "posts"


def _users(keep: Callable[[Record], bool]) -> Callable[[Scope, str], Match]:
    """Users by what their account membership says."""
    return _test(lambda scope, user: keep(_membership(scope, user)))


_LEADS = {"administrator", "reports_viewer_with_cost", "reports_viewer", "project_lead"}

RULES: Mapping[tuple[str, str], Callable[[Scope, str], Match]] = {
    ("account_colors", "enabled_only"): _nothing,
    ("account_invitations", "only_pending"): _nothing,
    ("expense_categories", "only_active"): _nothing,
    ("roles", "only_active"): _nothing,
    ("account_memberships", "only_active"): _test(lambda _, r: r.get("disabled_at") is None),
    ("account_memberships", "only_inactive"): _test(lambda _, r: r.get("disabled_at") is not None),
    ("account_memberships", "by_full_name"): _linked("user_id", "users", _text("full_name")),
    ("assignments", "in_unarchived_stories"): _nothing,
    ("assignments", "in_unarchived_workspaces"): _nothing,
    ("assignments", "include_unnamed"): _nothing,
    ("assignments", "uncurrent"): _test(lambda _, r: r.get("current") is False),
    ("assignments", "current"): _test(lambda _, r: r.get("current") is not False),
    ("custom_field_choices", "for_choice_ids"): lambda scope, value: _among(_csv(value)),
    ("custom_field_choices", "for_custom_fields"): _in("custom_field_id"),
    ("custom_fields", "subject_type"): _in("subject_type"),
    ("estimates", "creator"): _in("creator_id"),
    ("expense_report_submissions", "active"): _test(lambda _, r: r.get("status") in {"new", "approved"}),
    ("expense_report_submissions", "not_cancelled"): _test(lambda _, r: r.get("status") != "cancelled"),
    ("expense_report_submissions", "statuses"): _in("status"),
    ("expenses", "approved"): _test(_approved),
    ("expenses", "created_by"): _in("user_id"),
    ("expenses", "date_expensed_between"): _between("date"),
    ("expenses", "from_archived_workspaces"): _nothing,
    ("expenses", "in_active_invoice_id"): _in("invoice_id"),
    ("expenses", "invoiced"): _always(_invoiced),
    ("expenses", "uninvoiced"): _always(lambda scope, r: not _invoiced(scope, r)),
    ("expenses", "mine"): _test(lambda scope, r: r.get("user_id") == scope.viewer),
    ("expenses", "submitted"): _test(lambda _, r: r.get("active_submission_id") is not None),
    ("expenses", "unsubmitted"): _test(lambda _, r: r.get("active_submission_id") is None),
    ("expenses", "with_expense_report_id"): _in("active_submission_id"),
    ("expenses", "with_recent_expense_report_ids"): _in("recent_submission_id"),
    ("external_references", "last_synced_after"): _moment("last_synced_at", after=True),
    ("external_references", "last_synced_before"): _moment("last_synced_at", after=False),
    ("holiday_calendar_associations", "by_holiday_name"): _linked("holiday_id", "holidays", _text("name")),
    ("insights_access_group_memberships", "by_user_name"): _linked("user_id", "users", _text("full_name")),
    ("invoices", "pending"): _test(lambda _, r: r.get("status") == "new" and not r.get("draft")),
    ("invoices", "paid"): _test(lambda _, r: r.get("status") == "accepted payment"),
    ("invoices", "without_drafts"): _test(lambda _, r: not r.get("draft")),
    ("invoices", "within_dates"): _between("created_at"),
    ("organizations", "for_current_user"): _nothing,
    ("participations", "by_user"): _in("user_id"),
    ("participations", "by_user_full_name"): _linked("user_id", "users", _text("full_name")),
    ("participations", "mavens_only"): _test(lambda _, r: r.get("role") == "maven"),
    ("posts", "from_archived_workspaces"): _nothing,
    ("posts", "parents_only"): _test(lambda _, r: not _is_reply(r)),
    ("posts", "story_ids"): _in("story_id"),
    ("project_accounting_records", "created_at"): _same_day("created_at"),
    ("project_accounting_records", "show_deleted"): _nothing,
    ("project_templates", "mine"): _test(lambda scope, r: r.get("user_id") == scope.viewer),
    ("skill_memberships", "by_skill_name"): _linked("skill_id", "skills", _text("name")),
    ("skill_memberships", "by_user_name"): _linked("user_id", "users", _text("full_name")),
    ("skill_memberships", "workspace_id"): _participates("user_id"),
    ("skill_memberships", "active_account_members_only"): _test(
        lambda scope, r: _membership(scope, {"id": r.get("user_id")}).get("disabled_at") is None
    ),
    ("stories", "active_between"): _either_date,
    ("stories", "archived"): _three("archived"),
    ("stories", "assigned_to_current_user"): lambda scope, value: (
        _assigned(scope, scope.viewer) if _flag(value) else EVERYTHING
    ),
    ("stories", "by_any_tag"): _tagged,
    ("stories", "by_tag_name"): _tagged,
    ("stories", "by_status"): _in("status"),
    ("stories", "by_subtask_count"): lambda scope, value: _where(
        lambda r: len(scope.store.find("stories", "parent_id", r["id"])) == int(value) > 0
    ),
    ("stories", "by_workspace_group"): _linked("workspace_id", "workspaces", _in("workspace_group_ids")),
    ("stories", "completed"): _test(_completed),
    ("stories", "uncompleted"): _test(lambda scope, r: not _completed(scope, r)),
    ("stories", "creators"): _in("creator_id"),
    ("stories", "only_archived"): _test(lambda _, r: bool(r.get("archived"))),
    ("stories", "only_todos"): _test(lambda _, r: r.get("project_plan") is False),
    ("stories", "parents_only"): _test(lambda _, r: r.get("parent_id") is None),
    ("stories", "priority"): _in("priority"),
    ("stories", "show_archived"): _nothing,
    ("stories", "show_from_archived_workspaces"): _nothing,
    ("stories", "show_todos"): _nothing,
    ("stories", "starting_between"): _between("start_date"),
    ("stories", "story_types"): _in("story_type"),
    ("stories", "with_ancestry_depth"): _in("ancestry_depth"),
    ("stories", "with_assignees"): _assigned,
    ("stories", "with_followers"): _followed,
    ("stories", "with_projects"): _in("workspace_id"),
    ("stories", "with_root_id"): _in("ancestor_ids"),
    ("stories", "not_assigned_to_user"): lambda scope, value: _where(
        lambda r: r["id"] not in (_assigned(scope, value).ids or ())
    ),
    ("story_allocation_days", "in_unarchived_stories"): _nothing,
    ("story_allocation_days", "in_unarchived_workspaces"): _nothing,
    ("story_allocation_days", "assignee_id"): _linked("assignment_id", "assignments", _in("assignee_id")),
    ("story_allocation_days", "only_my_account"): _nothing,
    ("story_dependencies", "workspace_id"): _linked("source_id", "stories", _in("workspace_id")),
    ("story_tasks", "show_archived"): _nothing,
    ("story_tasks", "show_from_archived_workspaces"): _nothing,
    ("time_entries", "approved"): _always(_approved),
    ("time_entries", "created_by"): _in("user_id"),
    ("time_entries", "from_archived_workspaces"): _nothing,
    ("time_entries", "in_active_invoice_id"): _in("invoice_id"),
    ("time_entries", "in_active_submission"): _either(lambda _, r: r.get("active_submission_id") is not None),
    ("time_entries", "invoiced"): _always(_invoiced),
    ("time_entries", "uninvoiced"): _always(lambda scope, r: not _invoiced(scope, r)),
    ("time_entries", "with_timesheet_id"): _in("active_submission_id"),
    ("time_entries", "with_recent_timesheet_ids"): _in("recent_submission_id"),
    ("survey_responses", "subject_id"): _in("subject_id"),
    ("survey_responses", "subject_type"): _in("subject_type"),
    ("survey_templates", "subject_id"): _in("subject_id"),
    ("survey_templates", "subject_type"): _in("subject_type"),
    ("time_off_entries", "start_date"): _later("requested_date"),
    ("time_off_entries", "end_date"): _sooner("requested_date"),
    ("time_off_entries", "workspace_id"): _participates("user_id"),
    ("timesheet_submissions", "active"): _test(lambda _, r: r.get("status") in {"new", "approved"}),
    ("timesheet_submissions", "not_cancelled"): _test(lambda _, r: r.get("status") != "cancelled"),
    ("timesheet_submissions", "statuses"): _in("status"),
    ("user_group_memberships", "group_ids"): _in("workspace_group_id"),
    ("users", "clients_only"): _test(_takes_part("buyer")),
    ("users", "consultants_only"): _test(_takes_part("maven")),
    ("users", "without_skills"): lambda scope, value: _where(lambda r: not _skilled(scope, r["id"], value)),
    ("users", "account_role_ids"): _in("role_id"),
    ("users", "by_email_address"): _in("email_address"),
    ("users", "by_email_addresses"): _in("email_address"),
    ("users", "can_view_reports"): _users(lambda m: bool(m.get("can_view_reports"))),
    ("users", "is_project_lead"): _users(lambda m: m.get("permission") in _LEADS),
    ("users", "managers"): _test(lambda scope, r: bool(scope.store.find("users", "manager_id", r["id"]))),
    ("users", "participant_in"): _participates("id"),
    ("users", "not_participant_in"): _without(_participates("id")),
    ("users", "on_my_account_or_participant_in_workspace"): _nothing,
    ("users", "show_disabled"): _nothing,
    ("users", "with_users"): lambda scope, value: _among(_csv(value)),
    ("users", "without_users"): lambda scope, value: _where(lambda r: r["id"] not in _csv(value)),
    ("workspace_allocations", "overlaps_with_date_range"): _overlap,
    ("workspace_allocations", "user_ids"): _linked(
        "workspace_resource_id", "workspace_resources", _in("user_id")
    ),
    ("workspace_allocations", "type"): lambda _, value: _where(
        lambda r: bool(r.get("hard")) == (value == "hard")
    ),
    ("workspace_allocations", "named_resources_only"): _test(_named),
    ("workspace_allocations", "unnamed_resources_only"): _test(lambda scope, r: not _named(scope, r)),
    ("workspace_resources", "include_unnamed"): _nothing,
    ("workspace_resources", "only_unnamed"): _test(lambda _, r: r.get("user_id") is None),
    ("workspaces", "archived"): _three("archived"),
    ("workspaces", "creator"): _in("creator_id"),
    ("workspaces", "has_participant"): _workspaces_of,
    ("workspaces", "has_maven_participant"): _workspaces_of_mavens,
    ("workspaces", "has_participation"): lambda scope, value: (
        _workspaces_of(scope, scope.viewer) if _flag(value) else EVERYTHING
    ),
    ("workspaces", "include_archived"): _nothing,
    ("workspaces", "provider_lead"): _in("primary_maven_id"),
    ("workspaces", "requiring_expense_approval"): _either(
        lambda _, r: bool(r.get("require_expense_approvals"))
    ),
    ("workspaces", "user_not_participating"): lambda scope, value: _where(
        lambda r: r["id"] not in (_workspaces_of(scope, value).ids or ())
    ),
    ("workspaces", "workspace_groups"): _in("workspace_group_ids"),
    ("workweek_memberships", "participants_for_workspace_id"): _participates("user_id"),
}
"""(envelope key, parameter) → what it means. A rule that changes nothing only lifts a default filter."""


# Filters that hold when nothing is said


def _unless(
    lifted: Callable[[Mapping[str, str]], bool], keep: Callable[[Scope, Record], bool]
) -> Callable[[Scope, Mapping[str, str]], Match | None]:
    return lambda scope, values: None if lifted(values) else _where(lambda record: keep(scope, record))


def _said(*names: str) -> Callable[[Mapping[str, str]], bool]:
    """One of the parameters is given, and not as false."""
    return lambda values: any(BOOLEANS.get(values.get(name, "false"), True) for name in names)


def _denied(name: str) -> Callable[[Mapping[str, str]], bool]:
    """The parameter, true by default, is given as false."""
    return lambda values: BOOLEANS.get(values.get(name, "true")) is False


def _story_archived(scope: Scope, record: Record) -> bool:
    return bool((scope.store.get("stories", record.get("story_id")) or {}).get("archived"))


def _story_workspace_archived(scope: Scope, record: Record) -> bool:
    return _archived(scope, scope.store.get("stories", record.get("story_id")) or {})


_OF_LIVE_WORKSPACE = _unless(_said("from_archived_workspaces"), lambda scope, r: not _archived(scope, r))
_OF_LIVE_STORY = (
    _unless(_denied("in_unarchived_stories"), lambda scope, r: not _story_archived(scope, r)),
    _unless(_denied("in_unarchived_workspaces"), lambda scope, r: not _story_workspace_archived(scope, r)),
)

DEFAULTS: Mapping[str, tuple[Callable[[Scope, Mapping[str, str]], Match | None], ...]] = {
    "account_colors": (_unless(_denied("enabled_only"), lambda _, r: r.get("enabled") is not False),),
    "account_invitations": (_unless(_denied("only_pending"), lambda _, r: r.get("pending") is not False),),
    "assignments": (
        *_OF_LIVE_STORY,
        _unless(_said("include_unnamed"), lambda _, r: r.get("assignee_id") is not None),
    ),
    "expense_categories": (_unless(_denied("only_active"), lambda _, r: r.get("deleted_at") is None),),
    "expenses": (_OF_LIVE_WORKSPACE,),
    "posts": (_OF_LIVE_WORKSPACE,),
    "project_accounting_records": (_unless(_said("show_deleted"), lambda _, r: r.get("deleted_at") is None),),
    "roles": (_unless(_denied("only_active"), lambda _, r: r.get("deleted_at") is None),),
    "stories": (
        _unless(_said("show_archived", "only_archived", "archived"), lambda _, r: not r.get("archived")),
        _unless(_said("show_from_archived_workspaces"), lambda scope, r: not _archived(scope, r)),
        _unless(_said("show_todos", "only_todos"), lambda _, r: r.get("project_plan") is not False),
    ),
    "story_allocation_days": _OF_LIVE_STORY,
    "story_tasks": (
        _unless(_said("show_archived"), lambda scope, r: not _story_archived(scope, r)),
        _unless(
            _said("show_from_archived_workspaces"), lambda scope, r: not _story_workspace_archived(scope, r)
        ),
    ),
    "time_entries": (_OF_LIVE_WORKSPACE,),
    "users": (
        _unless(_said("show_disabled"), lambda scope, r: _membership(scope, r).get("disabled_at") is None),
    ),
    "workspace_resources": (
        _unless(_said("include_unnamed", "only_unnamed"), lambda _, r: r.get("user_id") is not None),
    ),
    "workspaces": (_unless(_said("include_archived", "archived"), lambda _, r: not r.get("archived")),),
}
"""Envelope key → the tests that hold unless a parameter lifts them; on the by-id route too."""
