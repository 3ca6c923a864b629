"""All randomness of one check from one seed.

rng(test, stage, role, chunk)  = Generator(Philox(SeedSequence(seed, spawn_key=(crc, stage, role, chunk))))
candidate(test, stage, chunk)  = first SeedSequence(seed, spawn_key=(crc, stage, 1, chunk, t)).generate_state(1)[0] >> 1
                                 not yet given out, t = 0, 1, ...            crc = zlib.crc32(test.encode())

Roles: 0 starts, 1 candidate, 2 Monte Carlo null, 3 ties.  The spawn key has a fixed length, because
SeedSequence([5]) = SeedSequence([5, 0]).  The candidate never gets a seed that feeds a generator of the oracle, or a
candidate with the same generator would re-use the numbers that chose its starts.  31 bits suit every framework.
"""

from __future__ import annotations

import zlib

import numpy as np

from ebm_ref.errors import require_int

STARTS, CANDIDATE, NULL, TIES = range(4)


class Seeds:
    """The seeds of one check; it remembers which it has given to the candidate.

    >>> seeds = Seeds(0)
    >>> first = seeds.candidate("S1", 0)
    >>> first == Seeds(0).candidate("S1", 0), first == seeds.candidate("S1", 0), first < 2**31
    (True, False, True)
    """

    def __init__(self, seed: int) -> None:
        self.seed = require_int("seed", seed)
        self.given: set[int] = set()

    def rng(self, test: str, stage: int, role: int, chunk: int = 0) -> np.random.Generator:
        """The oracle's own generator for one purpose."""
        key = (zlib.crc32(test.encode()), stage, role, chunk)
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=key)))

    def candidate(self, test: str, stage: int, chunk: int = 0) -> int:
        """A fresh 31-bit seed for one call of the candidate."""
        attempt = 0
        while True:
            key = (zlib.crc32(test.encode()), stage, CANDIDATE, chunk, attempt)
            seed = int(np.random.SeedSequence(self.seed, spawn_key=key).generate_state(1)[0] >> 1)
            if seed not in self.given:
                self.given.add(seed)
                return seed
            attempt += 1
