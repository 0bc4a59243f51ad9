"""What somebody probably meant by a name that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WORDS = {
    "since": ("after",),
    "from": ("after",),
    "until": ("before",),
    "to": ("before",),
    "project": ("workspace",),
    "projects": ("workspaces",),
    "task": ("story",),
    "tasks": ("stories",),
    "timesheet": ("timesheet_submission",),
    "timesheets": ("timesheet_submissions",),
    "hours": ("time_entries", "minutes"),
    "comment": ("post",),
    "comments": ("posts",),
    "people": ("users",),
    "person": ("user",),
    "employees": ("users",),
    "members": ("participations", "users"),
    "client": ("organization",),
    "clients": ("organizations",),
    "company": ("organization",),
    "companies": ("organizations",),
    "files": ("attachments",),
    "events": ("subscribed_events",),
    "webhooks": ("subscribed_events",),
    "reports": ("insights_reports",),
    "rates": ("rate_cards",),
    "milestones": ("stories",),
    "name": ("title", "full_name"),
    "email": ("email_address",),
    "description": ("notes", "message"),
    "minutes": ("time_in_minutes",),
    "date": ("date_performed", "due_date"),
    "start": ("start_date",),
    "end": ("due_date", "end_date"),
    "due": ("due_date",),
    "ids": ("only",),
    "sort": ("order",),
    "sort_by": ("order",),
    "order_by": ("order",),
    "ordering": ("order",),
    "expand": ("include",),
    "includes": ("include",),
    "with": ("include",),
    "fields": ("optional_fields",),
    "limit": ("per_page",),
    "page_size": ("per_page",),
    "query": ("search",),
    "q": ("search",),
}
"""Word → words of the API that mean the same. The user interface, other APIs and Mavenlink's gem have other names."""


def similar(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'stories'?`, or nothing.

    Args:
        name: What does not exist.
        known: What does.
    """
    names = list(known)
    meant = next((each for each in _meant(name) if each in names), None)
    if meant is None:
        from difflib import get_close_matches

        meant = next(iter(get_close_matches(name, names, n=1)), None)
    return f"; did you mean {meant!r}?" if meant else ""


def _meant(name: str) -> Iterator[str]:
    """The name with words of the API in place of others: as a whole, then word by word."""
    yield from _WORDS.get(name, ())
    parts = name.split("_")
    for place, part in enumerate(parts):
        for word in _WORDS.get(part, ()):
            yield "_".join([*parts[:place], word, *parts[place + 1 :]])
