"""Accounts with records to filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox import schema

from . import own_fields, related_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sandbox.conftest import API


class Account:
    """An account with a few records, whose lists are filtered."""

    def __init__(self, api: API, records: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
        self.api = api
        self.store = api.sandbox.store
        for key, rows in records.items():
            for identity, fields in rows.items():
                self.store.put(key, {"id": identity, **fields})

    async def ids(self, key: str, **query: Any) -> set[int]:
        """The ids in a list."""
        operation = schema.list_of(key)
        path = "/account_insights_mappings/dynamic" if operation is None else operation.path
        needed: dict[str, Any] = {
            "external_references": {"subject_type": "Workspace"},
            "participations": {"workspace_id": 11},
        }.get(key, {})
        return {int(identity) for identity in await self.api.ids(path, per_page=200, **needed, **query)}

    async def refusal(self, key: str, **query: Any) -> str:
        """The message of the 400 that a list responds with."""
        operation = schema.list_of(key)
        assert operation is not None
        return (await self.api.get(operation.path, **query, status=400))["errors"][0]["message"]


@pytest.fixture
async def own(empty: API) -> Account:
    """An account for filters by fields of the records themselves."""
    return Account(empty, own_fields.RECORDS)


@pytest.fixture
async def related(empty: API) -> Account:
    """An account for filters by related records."""
    return Account(empty, related_records.RECORDS)
