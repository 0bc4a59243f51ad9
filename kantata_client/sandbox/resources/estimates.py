"""Estimates and their scenarios."""

from __future__ import annotations

from kantata_client.sandbox.filters.makers import one_of
from kantata_client.sandbox.registry import Resource, declare

declare(Resource(key="estimates", filters={"creator": one_of("creator_id")}))
