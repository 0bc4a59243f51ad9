"""The hand-written methods of `kantata.attachments`: uploads from files and streams."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Literal, cast

from kantata_client._files.uploads import (
    SERVER_LIMIT,
    Content,
    checked_name,
    ended,
    guessed_type,
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
    from kantata_client._calls.session import Session
    from kantata_client._files.local import Source, Stream
    from kantata_client.hooks import Progress
    from kantata_client.models.attachment import Attachment
    from kantata_client.models.direct_upload import DirectUpload

_TYPES = ("receipt", "post_attachment")
_WINDOW = 4.0
"""Seconds for which the signed fields are used; the service takes them for 5."""
_POSTS = 4
"""Most times that a file is sent to the CDN."""


class AttachmentsMethods(Resource):
    """What `kantata.attachments` has besides the contract's operations."""

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
    ) -> Attachment:
        """Upload a file, in constant memory: through the API below 10 MB, to the CDN in three steps from there on.

        Args:
            content: A path, the content itself, or an async iterable of pieces of it. A path can be sent again after a
                failure, and so can bytes.
            type: A receipt belongs to an expense, a post attachment to a post.
            filename: Its name in Kantata: letters, digits, `_`, `-`, and the dot of the extension. Without, the path's
                own name is made to fit (spaces become `_`, accents are dropped); needed for anything but a path.
            size: Bytes of an async iterable. Without, it is written to a temporary file first, since the CDN has to be
                told the length; with it, it goes out as it comes, and can't be sent again after a failure.
            content_type: Such as `application/pdf`; guessed from the name unless told.
            direct: True for the CDN, False for the API, whatever the size.
            progress: Called with the bytes sent and their total. It starts again at 0 when the file is sent again.

        Returns:
            The `Attachment`.

        Raises:
            UsageError: An argument is wrong, or there is no such file; nothing was sent.
            UploadError: The attachment was created, but has no file; the error has its id.
            APIError: The service refused; see `kantata_client.errors`.
            UnknownOutcomeError: No answer came to the creation of the attachment.

        Source: POST /attachments, PUT /attachments/{id}/sync
        """
        where = "attachments.upload"
        if not isinstance(content, (str, os.PathLike, bytes, bytearray, memoryview, AsyncIterable)):  # pyright: ignore[reportUnnecessaryIsInstance]
            instead = ", which is named by its path" if hasattr(content, "read") else ""
            raise UsageError(
                f"{where}: a path, bytes or an async iterable of bytes is needed, not {kind_of(content)}{instead}."
            )
        if type not in _TYPES:
            raise UsageError(f"{where}: type={type!r}: one of {', '.join(_TYPES)} is needed.")
        name = checked_name(content, filename, where)
        kind = content_type or guessed_type(name)
        try:
            source = await opened(content, size, progress, where)
        except BaseException:
            await ended(content)
            raise
        try:
            if direct is False and source.size >= SERVER_LIMIT:
                raise UsageError(
                    f"{where}: {name} has {source.size:,} bytes, which the API's server does not take: "
                    "leave out direct=False."
                )
            if direct or (direct is None and source.size >= SERVER_LIMIT):
                return await _Direct(self._session, source, type, name, kind).run()
            return await self._through_the_server(source, type, name, kind)
        finally:
            source.close()
            await ended(content)

    async def _through_the_server(
        self, source: Source | Stream, type_: str, name: str, kind: str
    ) -> Attachment:
        from kantata_client._http.messages import File
        from kantata_client.models.attachment import Attachment
        from kantata_client.operations.attachments import CREATE

        file = File("", name, source, kind, source.size)
        body = {"attachment[type]": type_, "attachment[data]": file}
        return await self._session.one(CREATE, Attachment, (), {}, body)


class _Direct:
    """One file's way to the CDN.

    Sending it a second time does no harm: the place in the CDN is part of what is signed.
    """

    def __init__(self, session: Session, source: Source | Stream, type_: str, name: str, kind: str) -> None:
        self._session = session
        self._source = source
        self._type = type_
        self._name = name
        self._kind = kind
        self._asked = 0.0
        self._empty: DirectUpload | None = None
        """The attachment that was created and has no file yet."""

    async def run(self) -> Attachment:
        # Before the fields are asked for, which would expire while this waits.
        async with self._session.transport.elsewhere():
            try:
                return await self._run()
            except UploadError:
                raise
            except KantataError as error:
                if self._empty is None:
                    raise
                raise self._failed(self._empty, "it did not get to the CDN", error) from error
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
                # Late, most probably. Nothing was stored, so that there is nothing to lose in asking anew.
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
                    raise self._failed(ticket, "something else than the CDN answered", None)
                return attachment
            if refused or transport.clock() - self._asked > _WINDOW:
                await self._drop(ticket)
                ticket = await self._ask()
        raise AssertionError  # the last pass returns or raises

    @property
    def _again(self) -> bool:
        """Whether the content can be sent a second time."""
        from kantata_client._files.local import Source

        return isinstance(self._source, Source)

    async def _ask(self) -> DirectUpload:
        """Create the attachment, and get the signed fields for its file."""
        from kantata_client.models.attachment import Attachment
        from kantata_client.operations.attachments import CREATE

        body = {"attachment[type]": self._type, "attachment[filename]": self._name, "direct": True}
        # The clock of the window began when the service answered; this errs on the safe side.
        self._asked = self._session.transport.clock()
        found: Any = await self._session.one(CREATE, Attachment, (), {}, body)
        ticket = cast("DirectUpload", found)
        if not ticket.action or not ticket.fields:
            raise UploadError(
                f"Attachment {ticket.id} was created, but the service did not say where to send {self._name}: "
                f"`attachments.delete({ticket.id})` it, and upload it again.",
                attachment_id=ticket.id,
            )
        self._empty = ticket
        return ticket

    async def _post(self, ticket: DirectUpload) -> bool:
        """Send the file; false when the answer has another status than the one that was agreed on."""
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
        del signed  # a traceback that shows local variables must not show it
        response = await self._session.transport.send(request)
        return str(response.status) == agreed

    async def _sync(self, ticket: DirectUpload, *, certain: bool) -> Attachment | None:
        """Let the service look for the file; None when it does not find what may not be there."""
        from kantata_client.models.attachment import Attachment
        from kantata_client.operations.attachments import SYNC

        try:
            attachment = await self._session.one(SYNC, Attachment, (ticket.id,), {}, None)
        except KantataError as error:
            if not certain and isinstance(error, APIError) and error.status < 500:
                return None
            done = "was" if certain else "may have been"
            raise UploadError(
                f"{self._name} {done} uploaded as attachment {ticket.id}, but the service did not take note of it: "
                f"{error} Call `attachments.sync({ticket.id})`; if that fails, `attachments.delete({ticket.id})`, and "
                "upload it again.",
                attachment_id=ticket.id,
            ) from error
        if not certain and attachment.filesize not in (None, self._source.size):
            return None
        return attachment

    async def _drop(self, ticket: DirectUpload) -> None:
        """Delete the attachment whose fields have expired before its file was there."""
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
        told = f": {error}" if error is not None else "."
        again = "" if self._again else " A stream can be sent only once."
        return UploadError(
            f"{self._name} was not uploaded, {why}{told} Attachment {ticket.id} was created and has no file: "
            f"`attachments.delete({ticket.id})` it, and upload the file again.{again}",
            attachment_id=ticket.id,
        )
