"""Values of numpy and pandas, as Python has them; neither library is imported."""

from __future__ import annotations

from typing import Any, cast

_BUILT_IN = frozenset({str, int, float, bool, type(None), dict, list, tuple})
_SCALARS = ("int", "uint", "float", "bool", "str", "longlong", "ulonglong", "longdouble")
"""How the names of those numpy types begin whose values `item` turns into values of the same meaning."""


class MissingError(ValueError):
    """A value stands for a missing one: NaT or NA."""


def native(value: Any) -> Any:
    """A scalar of numpy or pandas as the Python value it stands for; anything else unchanged.

    Raises:
        MissingError: It is NaT or NA, which JSON does not have. (NaN is a float, and no finite number.)
    """
    kind = cast("type[Any]", type(value))
    if kind in _BUILT_IN:
        return value
    module = kind.__module__.partition(".")[0]
    if module == "numpy" and kind.__name__.startswith(_SCALARS):
        return native(value.item())
    if module == "numpy" and kind.__name__ == "datetime64" and str(value) == "NaT":
        raise MissingError("NaT")
    if module == "pandas":
        if kind.__name__ in ("NaTType", "NAType"):
            raise MissingError(kind.__name__.removesuffix("Type"))
        if kind.__name__ == "Timestamp":
            return value.to_pydatetime(warn=False)
    return value
