from __future__ import annotations

from ringline.media.rtp.gf256 import accumulate, inverse, multiply, scale


def product_by_the_book(a: int, b: int) -> int:
    """Multiply the polynomials and reduce by x^8 + x^4 + x^3 + x^2 + 1."""
    result = 0
    for bit in range(8):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(15, 7, -1):
        if result >> bit & 1:
            result ^= 0x11D << (bit - 8)
    return result


def test_products_are_those_of_the_polynomial() -> None:
    for a in range(256):
        for b in range(0, 256, 7):
            assert multiply(a, b) == multiply(b, a) == product_by_the_book(a, b)


def test_every_byte_but_zero_has_an_inverse() -> None:
    assert inverse(0) == 0
    assert all(multiply(value, inverse(value)) == 1 for value in range(1, 256))


def test_a_scaled_packet_is_scaled_byte_by_byte() -> None:
    data = bytes(range(256))
    assert list(scale(data, 29)) == [product_by_the_book(29, byte) for byte in data]
    assert scale(data, 0) == bytes(256)
    assert scale(data, 1) == data


def test_sums_grow_to_the_longest_and_cancel_out() -> None:
    total = bytearray(b"\x01\x02")
    accumulate(total, b"\x10\x20\x30", 2)
    assert total == bytes([0x01 ^ 0x20, 0x02 ^ 0x40, 0x60])
    accumulate(total, b"\x10\x20\x30", 2)
    assert total == b"\x01\x02\x00"
    accumulate(total, b"", 7)
    assert total == b"\x01\x02\x00"
