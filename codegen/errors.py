"""The error of the compiler."""


class CodegenError(Exception):
    """Something in the contract or in `overrides/` can't compile; the message names it and where to act."""
