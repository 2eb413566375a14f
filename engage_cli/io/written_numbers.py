"""How numbers are written for people."""

from __future__ import annotations

import math

_UNITS = ((0, "", 3), (3, "k", 2), (6, "M", 2), (9, "B", 2), (12, "T", 2))  # power of ten, sign, significant digits


def count_of(num: int, noun: str = "post") -> str:
    """1234 as 1,234 posts."""
    return f"{num:,} {noun}{'' if num == 1 else 's'}"


def with_minus(text: str) -> str:
    """Put a true minus before a written number, and none before zero."""
    is_zero = not any(digit in text for digit in "123456789")
    return text.lstrip("-") if is_zero else text.replace("-", "−")


def plain_number(value: float) -> str:
    """Six digits at most, as on an axis: 0.5, 1e+06, −3."""
    return with_minus(f"{value:g}")


def short_number(value: float) -> str:
    """1234567 as 1.2M: three digits or so, as on an axis; never in powers of ten.

    A larger value never reads as a smaller one: what rounds to a thousand of a unit is one of the next.
    """
    if not math.isfinite(value):
        return str(value)
    for power, sign, digits in _UNITS:
        text = _rounded(abs(value) / 10**power, digits)
        if float(text) < 1000 or sign == _UNITS[-1][1]:
            return f"{'-' if value < 0 and float(text) else ''}{text}{sign}"
    raise AssertionError("the last unit takes every number")


def _rounded(size: float, digits: int) -> str:
    """Round to significant digits, but never away from the decimal point's left."""
    places = min(9, max(0, digits - 1 - math.floor(math.log10(size)))) if size else 0
    text = f"{size:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
