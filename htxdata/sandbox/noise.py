"""The dice of the seeded market: counter-based hashes and smooth noise, nothing with memory.

Every number is a pure function of (key, counter), so a page of any time can be made without the pages before it.
Only additions, multiplications and divisions are used on floats: these give the same bits whatever the array's
length or alignment is, which library functions such as exp do not promise.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)

# Octaves of the price path: wavelengths from 2 minutes to 2 years, in milliseconds. An amplitude that doubles when
# the wavelength grows fourfold makes the sum look like a random walk.
_WAVELENGTHS = tuple(120_000 * 4**octave for octave in range(10))


def key_of(*parts: object) -> int:
    """A 64-bit key that depends on all parts; the same on every machine and Python."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def words(key: int, counters: Ints) -> Words:
    """One 64-bit word per counter (splitmix64 of counter and key)."""
    word: Words = counters.astype(np.uint64)
    word *= _GOLDEN
    word += np.uint64(key)
    word ^= word >> _S30
    word *= _MIX_1
    word ^= word >> _S27
    word *= _MIX_2
    word ^= word >> _S31
    return word


def fractions(key: int, counters: Ints) -> Floats:
    """One float in [0, 1) per counter, with 53 random bits."""
    return (words(key, counters) >> _S11).astype(np.float64) * (1.0 / 9007199254740992.0)


def smooth(key: int, times_ms: Ints, wavelength_ms: int) -> Floats:
    """Value noise in [-1, 1): hashed lattice points `wavelength_ms` apart, joined by smoothsteps. Times must ascend."""
    position = times_ms.astype(np.float64)
    position *= 1.0 / wavelength_ms
    cell = np.floor(position)
    fraction = position - cell
    first, last = int(cell[0]), int(cell[-1])
    index = cell.astype(np.int64)
    index -= first
    lattice: Floats = fractions(key, np.arange(first, last + 2, dtype=np.int64))
    lattice *= 2.0
    lattice -= 1.0
    step = np.diff(lattice)
    ease = fraction * -2.0
    ease += 3.0
    ease *= fraction
    ease *= fraction
    ease *= step.take(index)
    ease += lattice.take(index)
    return ease


def path(key: int, times_ms: Ints, swing: float) -> Floats:
    """exp of a sum of octaves: a positive wandering factor around 1. `swing` is the amplitude of the longest octave.

    Octaves that wander by less than the eye can see in a price are not left out: the shortest one is what makes two
    trades of one minute differ.
    """
    total = np.zeros(len(times_ms))
    if not len(times_ms):
        return total
    amplitude = swing / 2.0 ** (len(_WAVELENGTHS) - 1)
    for octave, wavelength in enumerate(_WAVELENGTHS):
        layer = smooth(key + octave * 7919 & 0xFFFFFFFFFFFFFFFF, times_ms, wavelength)
        layer *= amplitude
        total += layer
        amplitude *= 2.0
    # (1 + x/64)^64 by squaring: close to exp, made of multiplications only.
    total *= 1.0 / 64.0
    total += 1.0
    for _ in range(6):
        total *= total
    return total
