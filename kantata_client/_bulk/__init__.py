"""Writing many."""
