"""Posts and attachments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import no_filter, one_of, when_true, where
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh, subject
from kantata_client.sandbox.resources._shared import OF_LIVE_WORKSPACE, fill
from kantata_client.sandbox.routes import files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def _prepare(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    if record.get("subject_id") is not None and record.get("subject_type") in {None, "Post"}:
        record["subject_type"] = "Post"
        record["subject_ref"] = subject("posts", str(record["subject_id"]))
        if scope.store.get("posts", record["subject_id"]) is None:
            raise Refusal(422, invalid("subject_id", f"names no post: {record['subject_id']}."))
    record["has_attachments"] = bool(record.get("attachment_ids"))
    fill(record, private=False, reply=False, reply_count=0)


def _is_reply(post: Record) -> bool:
    above: dict[str, str] = post.get("subject_ref") or {}
    return above.get("key") == "posts"


def _count_reply(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Count a reply in the post that it answers."""
    above: dict[str, str] = record.get("subject_ref") or {}
    post = scope.store.get("posts", above.get("id")) if above.get("key") == "posts" else None
    if post is not None:
        scope.store.change(
            "posts",
            post["id"],
            reply=True,
            reply_count=scope.store.number("posts", "subject_ref", subject("posts", post["id"])),
            newest_reply_id=record["id"],
            newest_reply_user_id=record["user_id"],
            newest_reply_at=record["created_at"],
        )


def _uncount_reply(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Update the count of replies when one is deleted."""
    above: dict[str, str] = (old or {}).get("subject_ref") or {}
    if new is not None or above.get("key") != "posts" or scope.store.get("posts", above["id"]) is None:
        return
    replies = scope.store.where("posts", "subject_ref", above)
    newest: Record = replies[-1] if replies else {}
    scope.store.change(
        "posts",
        above["id"],
        reply=bool(replies),
        reply_count=len(replies),
        newest_reply_id=newest.get("id"),
        newest_reply_user_id=newest.get("user_id"),
        newest_reply_at=newest.get("created_at"),
    )


def _backdate(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, created_at=value)


def _documents(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Attach Google documents."""
    ids: list[str] = []
    for given in cast("list[dict[str, Any]]", value):
        row = fresh(scope, "google_documents", **given)
        ids.append(scope.store.put("google_documents", {**row, **given})["id"])
    scope.store.change(key, identity, google_document_ids=ids)


declare(
    Resource(
        key="posts",
        filters={
            "from_archived_workspaces": no_filter,
            "parents_only": when_true(lambda _, row: not _is_reply(row)),
            "story_ids": one_of("story_id"),
        },
        default_filters=(OF_LIVE_WORKSPACE,),
        derived={
            "reply_ids": lambda scope, row: scope.store.find(
                "posts", "subject_ref", subject("posts", row["id"])
            )
        },
        prepare=(_prepare,),
        created=(_count_reply,),
        written=(_uncount_reply,),
        properties={"backdated_to": _backdate, "google_documents": _documents},
    )
)


def _named(scope: Scope, value: str) -> Match:
    """Files whose name contains the text."""
    text = value.casefold()

    def keep(row: Record) -> bool:
        asset: dict[str, str] = row.get("asset_object_ref") or {}
        found = scope.store.get(asset.get("key", ""), asset.get("id")) or {}
        return text in str(found.get("filename") or found.get("title") or "").casefold()

    return where(keep)


declare(Resource(key="user_file_associations", filters={"filename": _named}))
declare(
    Resource(
        key="attachments",
        routes={
            "POST /attachments": files.create_attachment,
            "PUT /attachments/{id}/sync": files.sync_attachment,
        },
    )
)
