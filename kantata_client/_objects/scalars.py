"""Scalars of numpy and pandas as Python values, without importing either library."""

from __future__ import annotations

from typing import Any, cast

_BUILT_IN = frozenset({str, int, float, bool, type(None), dict, list, tuple})
_SCALARS = ("int", "uint", "float", "bool", "str", "longlong", "ulonglong", "longdouble")
"""Prefixes of numpy types whose `item()` is an equivalent Python value."""


class MissingError(ValueError):
    """The value is NaT or NA, which stand for a missing value."""


def native(value: Any) -> Any:
    """A scalar of numpy or pandas as a Python value; other values unchanged.

    Raises:
        MissingError: It is NaT or NA. (NaN is a float; values that must be finite are checked elsewhere.)
    """
    kind = cast("type[Any]", type(value))
    if kind in _BUILT_IN:
        return value
    module = kind.__module__.partition(".")[0]
    if module == "numpy" and kind.__name__.startswith(_SCALARS):
        return native(value.item())
    if module == "numpy" and kind.__name__ == "datetime64":
        return _of_datetime64(value)
    if module == "pandas":
        if kind.__name__ in ("NaTType", "NAType"):
            raise MissingError(kind.__name__.removesuffix("Type"))
        if kind.__name__ == "Timestamp":
            return value.to_pydatetime(warn=False)
    return value


def _of_datetime64(value: Any) -> Any:
    """A date, or a datetime without a time zone. Years and months are not dates, so they stay as they are."""
    if str(value) == "NaT":
        raise MissingError("NaT")
    unit = value.dtype.str.partition("[")[2].removesuffix("]")
    if unit == "D":
        return value.item()
    return value if unit in ("Y", "M", "W") else value.astype("datetime64[us]").item()
