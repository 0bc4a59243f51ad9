"""Async, typed client for the Kantata OX REST API (formerly Mavenlink).

    from kantata_client import Kantata

    async with Kantata(token="…") as kantata:
        async for story in kantata.stories.list(workspace_id=10, include=["assignees"]):
            print(story.title, [user.full_name for user in story.assignees])

The names in `__all__` are public, and so are the modules `models`, `operations`, `api`, `errors`, `hooks`, `oauth`,
`stores` and `sandbox`. Each is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._lazy import lazy_attributes

if TYPE_CHECKING:
    from kantata_client._bulk.outcomes import BulkError, BulkResult, Outcome
    from kantata_client._bulk.reference_key import ExternalReferenceKey
    from kantata_client._bulk.run import BulkRun
    from kantata_client._calls.drift import Drift
    from kantata_client._calls.drift_row import DriftRow
    from kantata_client._calls.unset import UNSET
    from kantata_client._calls.with_response import APIResponse
    from kantata_client._contract import Operation
    from kantata_client._http.messages import File, Timeouts
    from kantata_client._http.redis_throttle import RedisThrottle
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.throttle import AdaptiveThrottle, FixedRate, Throttle
    from kantata_client._http.tokens import TokenProvider
    from kantata_client._http.transport import StreamedResponse
    from kantata_client._lists.paginator import Paginator
    from kantata_client._lists.tables import table
    from kantata_client._lists.walk import Page
    from kantata_client._objects.model import Model
    from kantata_client.client import Kantata
    from kantata_client.errors import (
        APIError,
        AuthenticationError,
        BadRequestError,
        ErrorDetail,
        EventsExpiredError,
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
        UnexpectedArgumentError,
        UnknownOutcomeError,
        UnstableListError,
        UploadError,
        UsageError,
        ValidationError,
    )
    from kantata_client.hooks import Hooks

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "APIError",
    "APIResponse",
    "AdaptiveThrottle",
    "AuthenticationError",
    "BadRequestError",
    "BulkError",
    "BulkResult",
    "BulkRun",
    "Drift",
    "DriftRow",
    "ErrorDetail",
    "EventsExpiredError",
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
    "RedisThrottle",
    "RetryPolicy",
    "ServerError",
    "StreamedResponse",
    "Throttle",
    "Timeouts",
    "TokenProvider",
    "UnexpectedArgumentError",
    "UnknownOutcomeError",
    "UnstableListError",
    "UploadError",
    "UsageError",
    "ValidationError",
    "table",
]

_MODULES = dict.fromkeys(__all__, "errors") | {
    "APIResponse": "_calls.with_response",
    "AdaptiveThrottle": "_http.throttle",
    "BulkError": "_bulk.outcomes",
    "BulkResult": "_bulk.outcomes",
    "BulkRun": "_bulk.run",
    "Drift": "_calls.drift",
    "DriftRow": "_calls.drift_row",
    "ExternalReferenceKey": "_bulk.reference_key",
    "File": "_http.messages",
    "FixedRate": "_http.throttle",
    "Hooks": "hooks",
    "Kantata": "client",
    "Model": "_objects.model",
    "Operation": "_contract",
    "Outcome": "_bulk.outcomes",
    "Page": "_lists.walk",
    "Paginator": "_lists.paginator",
    "RedisThrottle": "_http.redis_throttle",
    "RetryPolicy": "_http.retry",
    "StreamedResponse": "_http.transport",
    "Throttle": "_http.throttle",
    "Timeouts": "_http.messages",
    "TokenProvider": "_http.tokens",
    "UNSET": "_calls.unset",
    "table": "_lists.tables",
}
"""The module of each name."""

if not TYPE_CHECKING:  # a type checker knows the names from the imports above, and should reject all others
    __getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
