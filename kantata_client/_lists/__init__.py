"""Lists, and the ways to walk them."""
