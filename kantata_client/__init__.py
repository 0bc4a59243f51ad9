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
    from kantata_client._auth import TokenProvider as TokenProvider
    from kantata_client._bulk import BulkResult as BulkResult
    from kantata_client._bulk import BulkRun as BulkRun
    from kantata_client._bulk import Outcome as Outcome
    from kantata_client._drift import Drift as Drift
    from kantata_client._drift import DriftRow as DriftRow
    from kantata_client._exactly_once import ExternalReferenceKey as ExternalReferenceKey
    from kantata_client._http import File as File
    from kantata_client._http import Timeouts as Timeouts
    from kantata_client._model import Model as Model
    from kantata_client._operation import Operation as Operation
    from kantata_client._paginator import Paginator as Paginator
    from kantata_client._retry import RetryPolicy as RetryPolicy
    from kantata_client._throttle import AdaptiveThrottle as AdaptiveThrottle
    from kantata_client._throttle import FixedRate as FixedRate
    from kantata_client._throttle import Throttle as Throttle
    from kantata_client._unset import UNSET as UNSET
    from kantata_client._walk import Page as Page
    from kantata_client.client import Kantata as Kantata
    from kantata_client.errors import APIError as APIError
    from kantata_client.errors import AuthenticationError as AuthenticationError
    from kantata_client.errors import BadRequestError as BadRequestError
    from kantata_client.errors import BulkError as BulkError
    from kantata_client.errors import ErrorDetail as ErrorDetail
    from kantata_client.errors import ExportError as ExportError
    from kantata_client.errors import KantataConnectionError as KantataConnectionError
    from kantata_client.errors import KantataError as KantataError
    from kantata_client.errors import KantataTimeoutError as KantataTimeoutError
    from kantata_client.errors import MalformedResponseError as MalformedResponseError
    from kantata_client.errors import NotFoundError as NotFoundError
    from kantata_client.errors import NotIncludedError as NotIncludedError
    from kantata_client.errors import NotOneError as NotOneError
    from kantata_client.errors import OAuthError as OAuthError
    from kantata_client.errors import PermissionDeniedError as PermissionDeniedError
    from kantata_client.errors import RateLimitedError as RateLimitedError
    from kantata_client.errors import ServerError as ServerError
    from kantata_client.errors import UnknownOutcomeError as UnknownOutcomeError
    from kantata_client.errors import UnstableListError as UnstableListError
    from kantata_client.errors import UploadError as UploadError
    from kantata_client.errors import UsageError as UsageError
    from kantata_client.errors import ValidationError as ValidationError
    from kantata_client.hooks import Hooks as Hooks

_MODULES = {
    "APIError": "errors",
    "AdaptiveThrottle": "_throttle",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "BulkError": "errors",
    "BulkResult": "_bulk",
    "BulkRun": "_bulk",
    "Drift": "_drift",
    "DriftRow": "_drift",
    "ErrorDetail": "errors",
    "ExportError": "errors",
    "ExternalReferenceKey": "_exactly_once",
    "File": "_http",
    "FixedRate": "_throttle",
    "Hooks": "hooks",
    "Kantata": "client",
    "KantataConnectionError": "errors",
    "KantataError": "errors",
    "KantataTimeoutError": "errors",
    "MalformedResponseError": "errors",
    "Model": "_model",
    "NotFoundError": "errors",
    "NotIncludedError": "errors",
    "NotOneError": "errors",
    "OAuthError": "errors",
    "Operation": "_operation",
    "Outcome": "_bulk",
    "Page": "_walk",
    "Paginator": "_paginator",
    "PermissionDeniedError": "errors",
    "RateLimitedError": "errors",
    "RetryPolicy": "_retry",
    "ServerError": "errors",
    "Throttle": "_throttle",
    "Timeouts": "_http",
    "TokenProvider": "_auth",
    "UNSET": "_unset",
    "UnknownOutcomeError": "errors",
    "UnstableListError": "errors",
    "UploadError": "errors",
    "UsageError": "errors",
    "ValidationError": "errors",
}

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

if not TYPE_CHECKING:  # it knows the names from above, and should refuse others
    __getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
