"""Decimal digits in text to integers, for whole columns at once: exact, and no Python object per number.

Eight digits are one 8-byte word; three multiplications make a number of it (D. Lemire, "Quickly parsing eight digits").
"""

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

PAD = 24
"""Bytes to be had before the first digit and after the last one, as words reach over the ends of a number."""
LONGEST = 19
"""Digits of the longest integer that is read, such as nanoseconds of Unix time."""

_DIGITS = 0x0F0F0F0F0F0F0F0F
_FIRST = np.array([_DIGITS & (1 << 8 * kept) - 1 for kept in range(9)], np.uint64)
_LAST = np.array([_DIGITS >> 8 * (8 - kept) << 8 * (8 - kept) for kept in range(9)], np.uint64)
"""What to keep of a word to have the values of its first and last digits, by how many."""


def integers(
    text: UInt8[np.ndarray, " b"], end: Int64[np.ndarray, " n"], length: Int64[np.ndarray, " n"]
) -> UInt64[np.ndarray, " n"]:
    """The numbers of `length` digits (0 to LONGEST) that end before the bytes `end` of a text."""
    words = _words(text)
    total = _eight(words[end - 8] & _LAST[np.minimum(length, 8)])
    for done in range(8, int(length.max(initial=0)), 8):
        total += _eight(words[end - 8 - done] & _LAST[np.clip(length - done, 0, 8)]) * np.uint64(10**done)
    return total


def fractions(
    text: UInt8[np.ndarray, " b"], start: Int64[np.ndarray, " n"], length: Int64[np.ndarray, " n"]
) -> UInt64[np.ndarray, " n"]:
    """The first ten decimals, in units of 1e-10, of the numbers whose `length` decimals begin at the bytes `start`."""
    total = _eight(_words(text)[start] & _FIRST[np.minimum(length, 8)]) * np.uint64(100)
    for place, weight in ((8, 10), (9, 1)):
        if length.max(initial=0) > place:
            digit = np.where(length > place, text[start + place] & np.uint8(15), np.uint8(0))
            total += digit.astype(np.uint64) * np.uint64(weight)
    return total


def _words(text: UInt8[np.ndarray, " b"]) -> UInt64[np.ndarray, " w"]:
    """The eight bytes from each byte on, the first one lowest; a view."""
    return np.ndarray((len(text) - 7,), "<u8", text, 0, (1,))


def _eight(word: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """The number that eight bytes of 0 to 9 make, the lowest being the first digit. Overwrites them."""
    for factor, shift, kept in ((10, 8, 0x00FF00FF00FF00FF), (100, 16, 0x0000FFFF0000FFFF), (10_000, 32, 0xFFFFFFFF)):
        word *= np.uint64((factor << shift) + 1)
        word >>= np.uint64(shift)
        word &= np.uint64(kept)
    return word
