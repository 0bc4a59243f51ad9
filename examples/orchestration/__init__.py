"""Syncs of several accounts by Dagster; see `definitions.py`."""
