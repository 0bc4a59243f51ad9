"""What the sandbox knows of each resource beyond its contract, one declaration per envelope key.

Importing this package declares them all and compiles the table of their filters; `registry.resource(key)` finds one.
"""

from __future__ import annotations

from kantata_client.sandbox.filters.named import compile_filters
from kantata_client.sandbox.resources import (
    account,
    calendars,
    custom_fields,
    estimates,
    events,
    expenses,
    exports,
    invoices,
    posts,
    project_accounting,
    rate_cards,
    references,
    resourcing,
    skills,
    stories,
    submissions,
    surveys,
    time_entries,
    users,
    workspaces,
)

__all__ = [
    "account",
    "calendars",
    "custom_fields",
    "estimates",
    "events",
    "expenses",
    "exports",
    "invoices",
    "posts",
    "project_accounting",
    "rate_cards",
    "references",
    "resourcing",
    "skills",
    "stories",
    "submissions",
    "surveys",
    "time_entries",
    "users",
    "workspaces",
]

compile_filters()
