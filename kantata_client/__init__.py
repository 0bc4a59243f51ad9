"""Async, typed client of the Kantata OX REST API.

    from kantata_client import Kantata

    async with Kantata(token="…") as kantata:
        async for story in kantata.stories.list(workspace_id=10, include=["assignees"]):
            print(story.title, [user.full_name for user in story.assignees])

What is listed in `__all__` is public, and so are the modules `models`, `api`, `errors`, `hooks`, `oauth`, `stores`
and `sandbox`. Everything is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._lazy import lazy_attributes

if TYPE_CHECKING:
    from kantata_client._auth import TokenProvider
    from kantata_client._bulk import BulkResult, BulkRun, Outcome
    from kantata_client._drift import Drift, DriftRow
    from kantata_client._exactly_once import ExternalReferenceKey
    from kantata_client._http import File, Timeouts
    from kantata_client._model import Model
    from kantata_client._operation import Operation
    from kantata_client._paginator import Paginator
    from kantata_client._retry import RetryPolicy
    from kantata_client._throttle import AdaptiveThrottle, FixedRate, Throttle
    from kantata_client._unset import UNSET
    from kantata_client._walk import Page
    from kantata_client.client import Kantata
    from kantata_client.errors import (
        APIError,
        AuthenticationError,
        BadRequestError,
        BulkError,
        ErrorDetail,
        ExportError,
        KantataConnectionError,
        KantataError,
        KantataTimeoutError,
        MalformedResponseError,
        NotFoundError,
        NotIncludedError,
        NotOneError,
        OAuthError,
        PermissionDeniedError,
        RateLimitedError,
        ServerError,
        UnknownOutcomeError,
        UnstableListError,
        UploadError,
        UsageError,
        ValidationError,
    )
    from kantata_client.hooks import Hooks

__all__ = [
    "UNSET",
    "APIError",
    "AdaptiveThrottle",
    "AuthenticationError",
    "BadRequestError",
    "BulkError",
    "BulkResult",
    "BulkRun",
    "Drift",
    "DriftRow",
    "ErrorDetail",
    "ExportError",
    "ExternalReferenceKey",
    "File",
    "FixedRate",
    "Hooks",
    "Kantata",
    "KantataConnectionError",
    "KantataError",
    "KantataTimeoutError",
    "MalformedResponseError",
    "Model",
    "NotFoundError",
    "NotIncludedError",
    "NotOneError",
    "OAuthError",
    "Operation",
    "Outcome",
    "Page",
    "Paginator",
    "PermissionDeniedError",
    "RateLimitedError",
    "RetryPolicy",
    "ServerError",
    "Throttle",
    "Timeouts",
    "TokenProvider",
    "UnknownOutcomeError",
    "UnstableListError",
    "UploadError",
    "UsageError",
    "ValidationError",
]

_MODULES = dict.fromkeys(__all__, "errors") | {
    "AdaptiveThrottle": "_throttle",
    "BulkResult": "_bulk",
    "BulkRun": "_bulk",
    "Drift": "_drift",
    "DriftRow": "_drift",
    "ExternalReferenceKey": "_exactly_once",
    "File": "_http",
    "FixedRate": "_throttle",
    "Hooks": "hooks",
    "Kantata": "client",
    "Model": "_model",
    "Operation": "_operation",
    "Outcome": "_bulk",
    "Page": "_walk",
    "Paginator": "_paginator",
    "RetryPolicy": "_retry",
    "Throttle": "_throttle",
    "Timeouts": "_http",
    "TokenProvider": "_auth",
    "UNSET": "_unset",
}
"""The module of each name."""

if not TYPE_CHECKING:  # it knows the names from above, and should refuse others
    __getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
