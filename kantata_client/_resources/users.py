"""The hand-written methods of `kantata.users`: profile photos from files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kantata_client._calls.extras import with_extras
from kantata_client._files.uploads import SERVER_LIMIT, checked_name, guessed_type, kind_of, opened
from kantata_client._resources.base import Resource
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kantata_client._files.local import StrPath
    from kantata_client.hooks import Progress
    from kantata_client.models.user import User
    from kantata_client.operations.users import Include, OptionalField


class UsersMethods(Resource):
    """Hand-written methods of `kantata.users`."""

    __slots__ = ()

    async def upload_profile_photo(
        self,
        id: int | str,
        photo: StrPath | bytes,
        *,
        filename: str | None = None,
        include: Include | Iterable[Include] | None = None,
        optional_fields: OptionalField | Iterable[OptionalField] | None = None,
        progress: Progress | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> User:
        """Set a user's profile photo from a file.

        Args:
            id: Id of the user.
            photo: The picture: a path, or bytes.
            filename: Its name, as in `attachments.upload`; required for bytes, since its extension says which kind of
                picture it is.
            include: Associations to load; reading others raises `NotIncludedError`.
            optional_fields: Fields that the service sends only when they are named here.
            progress: Called with the bytes sent and their total.
            extra_query: Query parameters that the contract lacks, sent unchecked.
            extra_body: Properties that the contract lacks, sent unchecked.

        Returns:
            The `User`.

        Raises:
            UsageError: It is not a picture, or the file does not exist; nothing was sent.
            APIError: The service refused the photo; see `kantata_client.errors`.

        Source: POST /users/{id}/profile_photo
        """
        from kantata_client._http.messages import File
        from kantata_client.models.user import User
        from kantata_client.operations.users import UPDATE_PROFILE_PHOTO

        where = "users.upload_profile_photo"
        if not isinstance(photo, (bytes, str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{where}: expected a path or bytes, got {kind_of(photo)}")
        name = checked_name(photo, filename, where)
        query: Mapping[str, Any] = {"include": include, "optional_fields": optional_fields}
        body: Mapping[str, Any] | None = {"user[profile_photo_attachment_file]": b""}
        query, body = with_extras(UPDATE_PROFILE_PHOTO, query, body, extra_query, extra_body)
        kind = guessed_type(name)
        if not kind.startswith("image/"):
            raise UsageError(f"{where}: the name {name} is not that of a picture. Use .png or .jpg")
        source = await opened(photo, None, progress, where)
        try:
            if source.size >= SERVER_LIMIT:
                raise UsageError(
                    f"{where}: {name} has {source.size:,} bytes; it must have less than {SERVER_LIMIT:,}"
                )
            file = File("", name, source, kind, source.size)
            sent = {**(body or {}), "user[profile_photo_attachment_file]": file}
            return await self._session.one(UPDATE_PROFILE_PHOTO, User, (id,), query, sent)
        finally:
            source.close()
