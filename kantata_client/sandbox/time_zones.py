"""Times of responses in another zone than UTC: the service writes them with offsets, such as `-07:00`, to some accounts."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

# A whole JSON string, also one in a JSON text inside a JSON string, as in the payloads of events.
_TIME = re.compile(rb'(?<=")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z(?=\\?")')
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


def zone_of(name: str) -> tzinfo:
    """The zone with a name such as `America/Denver`, or with an offset such as `-07:00`.

    Raises:
        UsageError: There is no such zone.
    """
    if _OFFSET.fullmatch(name):
        zone = datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo
        assert zone is not None  # noqa: S101 - it has an offset
        return zone
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        forms = "an offset such as '-07:00', or the name of a zone such as 'America/Denver'"
        raise UsageError(f"`time_zone` must be {forms}, got {name!r}.", consequence="") from error


def writer(zone: tzinfo) -> Callable[[bytes], bytes]:
    """Rewrites the times in JSON, which are in UTC, with the offset that a zone has at each of them."""

    def written(match: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(f"{match[1].decode()}+00:00")
        try:
            local = moment.astimezone(zone)
            offset = local.utcoffset()
            # Before there were zones, local times differed by seconds too, which no offset in JSON can say.
            whole = offset is None or not offset.seconds % 60
            return local.isoformat().encode() if whole else match[0]
        except OverflowError:  # the first or the last day of the calendar
            return match[0]

    return lambda content: _TIME.sub(written, content)
