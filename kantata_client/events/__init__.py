"""The change feed of an account: what `kantata.subscribed_events.follow()` returns, events and checkpoints."""

from kantata_client.events.checkpoints import Checkpoint, FileCheckpoint, Position, SQLiteCheckpoint
from kantata_client.events.event import Event
from kantata_client.events.follow import Follow

__all__ = ["Checkpoint", "Event", "FileCheckpoint", "Follow", "Position", "SQLiteCheckpoint"]
