"""Refuse storage hosts whose names resolve to this machine or into a private network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import attrs

from kantata_client._http.addresses import host_of, is_local, is_private
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class StorageGuard:
    """Checks the addresses that are about to be dialed for the hosts in signed URLs.

    Names are checked as well as literal addresses, and at the moment of dialing, because a name can resolve to another
    address than before (DNS rebinding).
    """

    api_host: str
    """The host of the API, which the user has chosen and which is not checked."""

    @classmethod
    def for_api(cls, base_url: str) -> StorageGuard | None:
        """The guard for the storage hosts of an API; None for an API on this machine, which may use local storage."""
        host = host_of(base_url)
        return None if is_local(host) else cls(host)

    async def check(self, host: str, addresses: Sequence[str]) -> None:
        """Check a host before it is dialed.

        Args:
            host: The host in the URL.
            addresses: The IP addresses that it resolves to.

        Raises:
            UsageError: An address belongs to this machine or its local link; or it is private, but the API is public.
        """
        if host.lower().rstrip(".") == self.api_host.lower().rstrip("."):
            return
        local = next((address for address in addresses if is_local(address)), None)
        if local is not None:
            raise self._refusal(host, f"resolves to {local}, an address of this machine or its local link")
        private = next((address for address in addresses if is_private(address)), None)
        if private is not None and not await self._api_is_private():
            raise self._refusal(host, f"resolves to {private}, a private address")

    async def _api_is_private(self) -> bool:
        """Whether the API is in a private network too, so that its storage may be there."""
        try:
            found = await anyio.getaddrinfo(self.api_host, 443)
        except OSError:
            return False
        return any(is_private(str(entry[4][0])) for entry in found)

    def _refusal(self, host: str, problem: str) -> UsageError:
        return UsageError(
            f"A file must not be sent to or read from {host}: it {problem}, but the API is at {self.api_host}"
        )
