"""Suggestions for names that do not exist."""

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
    "customer": ("organization",),
    "customers": ("organizations",),
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
    "access_token": ("token",),
    "api_key": ("token",),
    "api_token": ("token",),
    "url": ("base_url",),
    "profile": ("name",),
    "host": ("base_url",),
    "server": ("base_url",),
    "rate_limit": ("throttle",),
    "http_client": ("transport",),
    "cert": ("transport",),
    "proxies": ("transport",),
    "proxy": ("transport",),
    "verify": ("transport",),
    "body": ("json",),
    "query_params": ("params",),
}
"""Word → words of the API with the same meaning. The keys come from the user interface, other APIs and Mavenlink's gem."""


def similar(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'stories'?` if a known name resembles this one, otherwise an empty text.

    Args:
        name: The name that does not exist.
        known: The names that exist.
    """
    names = list(known)
    meant = next((synonym for synonym in _synonyms(name) if synonym in names), None)
    if meant is None:
        from difflib import get_close_matches

        meant = next(iter(get_close_matches(name, names, n=1)), None)
    return f"; did you mean {meant!r}?" if meant else ""


def _synonyms(name: str) -> Iterator[str]:
    """The name with words of the API instead of other words: first as a whole, then word by word."""
    yield from _WORDS.get(name, ())
    parts = name.split("_")
    for index, part in enumerate(parts):
        for word in _WORDS.get(part, ()):
            yield "_".join([*parts[:index], word, *parts[index + 1 :]])
