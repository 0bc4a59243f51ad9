"""The hand-written methods of `kantata.attachments`: uploads from files and streams."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Literal, cast

from kantata_client._calls.extras import with_extras
from kantata_client._files.uploads import (
    SERVER_LIMIT,
    Content,
    checked_name,
    checked_type,
    ended,
    kind_of,
    opened,
)
from kantata_client._resources.base import Resource
from kantata_client.errors import (
    APIError,
    KantataError,
    PermissionDeniedError,
    UnknownOutcomeError,
    UploadError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._calls.session import Session
    from kantata_client._files.local import Upload, UploadStream
    from kantata_client.hooks import Progress
    from kantata_client.models.attachment import Attachment
    from kantata_client.models.direct_upload import DirectUpload

_TYPES = ("receipt", "post_attachment")
_WINDOW = 4.0
"""Seconds for which signed fields are used; the service accepts them for 5."""
_POSTS = 4
"""How often a file is sent to the CDN."""


class AttachmentsMethods(Resource):
    """Hand-written methods of `kantata.attachments`."""

    __slots__ = ()

    async def upload(
        self,
        content: Content,
        *,
        type: Literal["receipt", "post_attachment"],
        filename: str | None = None,
        size: int | None = None,
        content_type: str | None = None,
        direct: bool | None = None,
        progress: Progress | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> Attachment:
        """Upload a file in constant memory: through the API if it is below 10 MB, otherwise to the CDN in three steps.

        Args:
            content: A path, bytes, or an async iterable of bytes. Paths and bytes can be sent again after a failure.
            type: A receipt belongs to an expense, a post attachment to a post.
            filename: Its name in Kantata: letters, digits, `_`, `-`, and the dot of the extension. By default, the path's
                name, with spaces replaced by `_` and accents dropped; required for anything but a path.
            size: Length of an async iterable, in bytes. With it, the content is sent as it is produced, and can't be sent
                again after a failure. Without it, the content is written to a temporary file first.
            content_type: Media type, such as `application/pdf`. By default, guessed from the name.
            direct: True to use the CDN, False to use the API, whatever the size.
            progress: Called with the bytes sent and their total; starts again at 0 when the file is sent again.
            extra_query: Query parameters that the contract lacks, sent unchecked when the attachment is created.
            extra_body: Properties that the contract lacks, sent unchecked when the attachment is created, such as
                `{"attachment[new]": 1}`.

        Returns:
            The `Attachment`.

        Raises:
            UsageError: An argument is invalid, or the file does not exist; nothing was sent.
            UploadError: The attachment was created, but has no file; `attachment_id` identifies it.
            APIError: The service refused the upload; see `kantata_client.errors`.
            UnknownOutcomeError: No response to the creation came.

        Source: POST /attachments, PUT /attachments/{id}/sync
        """
        where = "attachments.upload"
        if not isinstance(content, (str, os.PathLike, bytes, bytearray, memoryview, AsyncIterable)):  # pyright: ignore[reportUnnecessaryIsInstance]
            instead = ". Pass the file's path" if hasattr(content, "read") else ""
            raise UsageError(
                f"{where}: expected a path, bytes or an async iterable of bytes, got {kind_of(content)}{instead}"
            )
        if type not in _TYPES:
            raise UsageError(f"{where}: type must be {' or '.join(map(repr, _TYPES))}, not {type!r}")
        name = checked_name(content, filename, where)
        kind = checked_type(content_type, name, where)
        query, body = _with_extras(type, extra_query, extra_body)
        try:
            source = await opened(content, size, progress, where)
        except BaseException:
            await ended(content)
            raise
        try:
            if direct is False and source.size >= SERVER_LIMIT:
                raise UsageError(
                    f"{where}: {name} has {source.size:,} bytes, too many for the API's own server. "
                    "Leave out direct=False"
                )
            if direct or (direct is None and source.size >= SERVER_LIMIT):
                return await _Direct(self._session, source, name, kind, query, body).run()
            return await self._through_the_server(source, name, kind, query, body)
        finally:
            source.close()
            await ended(content)

    async def _through_the_server(
        self,
        source: Upload | UploadStream,
        name: str,
        kind: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any],
    ) -> Attachment:
        from kantata_client._http.messages import File
        from kantata_client.models.attachment import Attachment
        from kantata_client.operations.attachments import CREATE

        file = File("", name, source, kind, source.size)
        return await self._session.one(CREATE, Attachment, (), query, {**body, "attachment[data]": file})


def _with_extras(
    type_: str, extra_query: Mapping[str, object] | None, extra_body: Mapping[str, object] | None
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The query and the body of a creation, without the file."""
    from kantata_client.operations.attachments import CREATE

    of_the_file = {"attachment[data]": b"", "attachment[filename]": "", "direct": False}
    query, body = with_extras(CREATE, {}, {"attachment[type]": type_, **of_the_file}, extra_query, extra_body)
    return query, {name: value for name, value in (body or {}).items() if name not in of_the_file}


class _Direct:
    """The upload of one file to the CDN.

    Sending a file twice is harmless: its location in the CDN is part of the signed fields.
    """

    def __init__(
        self,
        session: Session,
        source: Upload | UploadStream,
        name: str,
        kind: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._source = source
        self._name = name
        self._kind = kind
        self._query = query
        self._body = body
        self._asked = 0.0
        self._empty: DirectUpload | None = None
        """An attachment that was created and has no file yet."""

    async def run(self) -> Attachment:
        # Before the fields are requested, which would expire while this waits.
        async with self._session.transport.storage_slots():
            try:
                return await self._run()
            except UploadError:
                raise
            except KantataError as error:
                if self._empty is None:
                    raise
                raise self._failed(self._empty, "it did not reach the CDN", error) from error
            except Exception as error:
                if self._empty is not None:
                    error.add_note(f"Attachment {self._empty.id} was created and has no file yet.")
                raise

    async def _run(self) -> Attachment:
        transport = self._session.transport
        ticket = await self._ask()
        for post in range(1, _POSTS + 1):
            last, refused = post == _POSTS or not self._again, False
            try:
                certain = await self._post(ticket)
            except PermissionDeniedError as error:
                # Probably too late. Nothing was stored, so asking for new fields is safe.
                if last:
                    raise self._failed(ticket, "the CDN refused it", error) from error
                refused = True
            except UnknownOutcomeError as error:
                attachment = await self._sync(ticket, certain=False)
                if attachment is not None:
                    return attachment
                if last:
                    raise self._failed(ticket, "the connection to the CDN broke", error) from error
                await transport.rest(transport.retries.delay(post))
            else:
                attachment = await self._sync(ticket, certain=certain)
                if attachment is None:
                    raise self._failed(ticket, "the answer did not come from the CDN", None)
                return attachment
            if refused or transport.clock() - self._asked > _WINDOW:
                await self._drop(ticket)
                ticket = await self._ask()
        raise AssertionError  # the last pass returns or raises

    @property
    def _again(self) -> bool:
        """Whether the content can be sent again."""
        from kantata_client._files.local import Upload

        return isinstance(self._source, Upload)

    async def _ask(self) -> DirectUpload:
        """Create the attachment, and get the signed fields for its file."""
        from kantata_client.models.attachment import Attachment
        from kantata_client.operations.attachments import CREATE

        body = {**self._body, "attachment[filename]": self._name, "direct": True}
        # The five seconds begin when the service answers, a little later than this.
        self._asked = self._session.transport.clock()
        found: Any = await self._session.one(CREATE, Attachment, (), self._query, body)
        ticket = cast("DirectUpload", found)
        if not ticket.action or not ticket.fields:
            raise UploadError(
                f"Attachment {ticket.id} was created, but the service did not say where to send {self._name}. Delete the "
                f"attachment with `attachments.delete({ticket.id})`, then upload the file again.",
                attachment_id=ticket.id,
            )
        self._empty = ticket
        return ticket

    async def _post(self, ticket: DirectUpload) -> bool:
        """Send the file; returns whether the response has the status that the signed fields promise."""
        from kantata_client._http.messages import File, Form, Request

        signed = {name: str(value) for name, value in (ticket.fields or {}).items() if value is not None}
        signed.setdefault("x-amz-server-side-encryption", "AES256")
        agreed = signed.get("success_action_status", "204")
        file = File("file", self._name, self._source, self._kind, self._source.size)
        request = Request(
            "POST",
            str(ticket.action),
            form=Form(tuple(signed.items()), (file,)),
            headers={"accept": "*/*"},
            operation="POST /attachments (CDN)",
            confidential=True,
        )
        del signed  # must not appear in a traceback that shows local variables
        if self._session.options is not None:
            request = self._session.options.applied_elsewhere(request)
        response = await self._session.transport.send(request)
        return str(response.status) == agreed

    async def _sync(self, ticket: DirectUpload, *, certain: bool) -> Attachment | None:
        """Ask the service to look for the file; `None` if an uncertain upload turns out not to be there."""
        from kantata_client.models.attachment import Attachment
        from kantata_client.operations.attachments import SYNC

        try:
            attachment = await self._session.one(SYNC, Attachment, (ticket.id,), {}, None)
        except KantataError as error:
            if not certain and isinstance(error, APIError) and error.status < 500:
                return None
            done = "was" if certain else "may have been"
            raise UploadError(
                f"{self._name} {done} uploaded as attachment {ticket.id}, but the service did not register it: {error} "
                f"Call `attachments.sync({ticket.id})`. If that fails, call `attachments.delete({ticket.id})` and upload "
                "the file again.",
                attachment_id=ticket.id,
            ) from error
        if not certain and attachment.filesize not in (None, self._source.size):
            return None
        return attachment

    async def _drop(self, ticket: DirectUpload) -> None:
        """Delete an attachment whose fields expired before its file arrived."""
        import logging

        from kantata_client.operations.attachments import DELETE

        try:
            await self._session.perform(DELETE, (ticket.id,))
        except KantataError as error:
            logging.getLogger("kantata_client").warning(
                "Attachment %s has no file and could not be deleted: %s", ticket.id, error
            )
        else:
            self._empty = None

    def _failed(self, ticket: DirectUpload, why: str, error: KantataError | None) -> UploadError:
        reason = f": {error}" if error is not None else "."
        again = "" if self._again else " A stream can be sent only once."
        return UploadError(
            f"{self._name} was not uploaded because {why}{reason} Attachment {ticket.id} was created and has no file: "
            f"delete it with `attachments.delete({ticket.id})`, then upload the file again.{again}",
            attachment_id=ticket.id,
        )
