"""GF(256): arithmetic on bytes in which sums are exclusive-or and every byte but 0 has an inverse.

The field of RFC 8681 §3.7.1 (polynomial x^8 + x^4 + x^3 + x^2 + 1, generator 2), as
Reed-Solomon codes of RFC 5510 use it.

What is fast in Python: a factor times a whole packet is ``bytes.translate`` with the factor's
table (1 us for 1200 bytes), a sum of packets is one ``numpy`` operation.  The tables take 64 KiB
and 6 ms once.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

__all__ = ["accumulate", "inverse", "multiply", "scale"]

_POLYNOMIAL: Final = 0x11D


@cache
def _tables() -> tuple[bytes, ...]:
    """Return for each factor the products with 0 to 255."""
    powers, logarithms = [0] * 510, [0] * 256
    value = 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logarithms[value] = exponent
        value <<= 1
        if value & 0x100:
            value ^= _POLYNOMIAL
    tables = [bytes(256)]
    for factor in range(1, 256):
        shift = logarithms[factor]
        tables.append(bytes([0, *(powers[shift + log] for log in logarithms[1:])]))
    return tuple(tables)


@cache
def _inverses() -> bytes:
    return bytes([0, *(_tables()[value].index(1) for value in range(1, 256))])


def multiply(a: int, b: int) -> int:
    """Return the product of two bytes."""
    return _tables()[a][b]


def inverse(value: int) -> int:
    """Return the byte whose product with ``value``, 1 to 255, is 1; of 0 there is none: 0."""
    return _inverses()[value]


def scale(data: bytes | bytearray, factor: int) -> bytes | bytearray:
    """Return every byte of ``data`` times ``factor``."""
    return data.translate(_tables()[factor])


def accumulate(total: bytearray, data: bytes | bytearray, factor: int) -> None:
    """Add ``factor`` times ``data`` to ``total``, both beginning at the same byte.

    ``total`` grows to the length of ``data`` if that is longer: what is missing at an end is 0.
    """
    if len(data) > len(total):
        total.extend(bytes(len(data) - len(total)))
    sums = np.frombuffer(total, dtype=np.uint8)
    sums[: len(data)] ^= np.frombuffer(scale(data, factor), dtype=np.uint8)
