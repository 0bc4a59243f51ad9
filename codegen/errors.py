"""The error of the compiler."""


class CodegenError(Exception):
    """Something in the contract, or in `overrides/`, can't be compiled; the message names it and says where to act."""
