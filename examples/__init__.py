"""Examples: each runs by itself, `python -m examples.NAME`."""
