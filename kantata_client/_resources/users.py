"""The hand-written methods of `kantata.users`: profile photos from files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kantata_client._files.uploads import SERVER_LIMIT, checked_name, guessed_type, kind_of, opened
from kantata_client._resources.base import Resource
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kantata_client._files.local import StrPath
    from kantata_client.hooks import Progress
    from kantata_client.models.user import User
    from kantata_client.operations.users import Include, OptionalField


class UsersMethods(Resource):
    """What `kantata.users` has besides the contract's operations."""

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
    ) -> User:
        """Set a user's profile photo from a file.

        Args:
            id: Id of the user.
            photo: The picture: a path, or its content.
            filename: Its name, as in `attachments.upload`; needed for content, since it tells the kind of picture.
            include: Associations to load along; without, reading them raises `NotIncludedError`.
            optional_fields: Fields that are left out unless named here.
            progress: Called with the bytes sent and their total.

        Returns:
            The `User`.

        Raises:
            UsageError: It is no picture, or there is no such file; nothing was sent.
            APIError: The service refused; see `kantata_client.errors`.

        Source: POST /users/{id}/profile_photo
        """
        from kantata_client._http.messages import File
        from kantata_client.models.user import User
        from kantata_client.operations.users import UPDATE_PROFILE_PHOTO

        where = "users.upload_profile_photo"
        if not isinstance(photo, (bytes, str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{where}: a path or bytes are needed, not {kind_of(photo)}.")
        name = checked_name(photo, filename, where)
        kind = guessed_type(name)
        if not kind.startswith("image/"):
            raise UsageError(f"{where}: {name} is no picture by its name: .png or .jpg is needed.")
        source = await opened(photo, None, progress, where)
        try:
            if source.size >= SERVER_LIMIT:
                raise UsageError(
                    f"{where}: {name} has {source.size:,} bytes, less than {SERVER_LIMIT:,} are needed."
                )
            body = {"user[profile_photo_attachment_file]": File("", name, source, kind, source.size)}
            query = {"include": include, "optional_fields": optional_fields}
            return await self._session.one(UPDATE_PROFILE_PHOTO, User, (id,), query, body)
        finally:
            source.close()
