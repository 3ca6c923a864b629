"""Random numbers at addresses: a Stream is (seed, purpose), an element is (step, chain, unit).

The numbering below is a promise: a number, once given out, keeps its meaning in every later version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.errors import DomainError, require_int
from ebm_ref.maths.philox import LOW2, LOW32, S2, S10, S11, S21, S32, TIE, TWO53, philox4x32, philox4x32_inlined
from ebm_ref.maths.smooth import (
    CENTRE,
    GAP_AT_EDGE,
    LOG,
    MIDDLE,
    gap,
    horner,
    horner_after,
    joined_log,
    normal_tail,
    split_number,
)

LANES = 16  # chains that a tile holds side by side: loops over them vectorise
LINE = 64  # bytes of a cache line
BLOCKS = 4  # of four units each, that go through the loops of a normal together
ROOM = 4 * (4 * LANES * BLOCKS + 8)  # scratch of tile_normals: four arrays, whose numbers do not stand 4096 bytes apart
BEFORE_EDGE = MIDDLE - 1e-6  # where the argument of the centre's polynomial comes near its end
FIRST_WORD, SECOND_WORD = np.uint64((1023 + 21) << 52), np.uint64(1022 << 52 | 1)  # 2^21; 1/2 + 2^-53

PURPOSES = {
    "start": 1,  # hidden units of an initial state, drawn from p(h | x)
    "transition": 2,  # every transition of a sampler
    "exact_state": 3,  # exact samples: which enumerated state
    "exact_units": 4,  # exact samples: the units of the other layer
    "parameters": 5,  # RBM.random and friends
    "shuffle": 6,  # order of the rows in an epoch
    "negative": 7,  # negative phase of CD
    "persistent": 8,  # the persistent chains of PCD
    "fantasy_start": 9,  # their first states
    "positive": 10,  # hidden units sampled in the positive phase
    "monitor": 11,  # stochastic monitors of fit
    "annealing": 12,  # annealed importance sampling, from the base to the model
    "annealing_reverse": 13,  # and back, from exact samples of the model
    "noise_start": 14,  # chains of CD that start from noise
    "spectral_norm": 15,  # first vectors of the power iteration
    "adaptation": 16,  # steps during which a sampler finds its step size
    "buffer": 17,  # which states of a replay buffer an update takes, and which of them it replaces
    "buffer_start": 18,  # fresh states of a replay buffer
    "data_noise": 19,  # noise added to data
    "diffusion_time": 20,  # time of each row in diffusion recovery
    "user": 255,  # free for callers
}


@dataclass(frozen=True)
class Stream:
    """All the random numbers of one purpose under one seed.

    Element [c, j] of ``uniform(step, (n, m))`` is the number at address (step, first_chain + c, j): it depends neither
    on the shape nor on the order of calls, so any split of chains, steps or threads reads the same numbers.

    >>> whole = Stream(7, "user").uniform(3, (4, 5))
    >>> part = Stream(7, "user", first_chain=2).uniform(3, (2, 5))
    >>> bool((whole[2:] == part).all())
    True
    """

    seed: int
    purpose: str
    first_chain: int = 0

    def __post_init__(self) -> None:
        require_int("seed", self.seed, 0, 2**64 - 1)
        require_int("first_chain", self.first_chain, 0, 2**32 - 1)
        if self.purpose not in PURPOSES:
            raise DomainError(f"purpose: expected one of {', '.join(PURPOSES)}, got {self.purpose!r}")

    @property
    def address(self) -> np.ndarray:
        """(purpose, k0, k1, first_chain) as the compiled loops read it."""
        seed = int(self.seed)
        return np.array([PURPOSES[self.purpose], seed & 0xFFFFFFFF, seed >> 32, self.first_chain], dtype=np.uint64)

    def uniform(self, step: int, shape: tuple[int, int]) -> np.ndarray:
        """Uniforms on [0, 1) with 53 bits, shape (chains, units)."""
        require_int("step", step, 0, 2**48 - 1)
        require_int("first_chain + chains", self.first_chain + shape[0], 0, 2**32)
        out = np.empty(shape)
        fill_uniform(shape[0], out, np.uint64(step), self.address, work=60 * out.size)
        return out

    def normal(self, step: int, shape: tuple[int, int]) -> np.ndarray:
        """Standard normals by inversion, Phi^-1(u + 2^-54): one per uniform, shape (chains, units)."""
        require_int("step", step, 0, 2**48 - 1)
        require_int("first_chain + chains", self.first_chain + shape[0], 0, 2**32)
        n_tiles, n_blocks = -(-shape[0] // LANES), -(-shape[1] // 4)
        z, scratch = lined_up(n_tiles, 4 * n_blocks * LANES), lined_up(n_tiles, ROOM)
        fill_normal(n_tiles, z, scratch, np.uint64(step), self.address, work=60 * z.size)
        return from_tiles(z, shape[0], 4 * n_blocks)[:, : shape[1]]


def uniform_row(chain, out, step, address):
    """out[chain, :] = the uniforms of this chain at this step; four units share one evaluation."""
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    c2 = step & np.uint64(0xFFFFFFFF)
    c3 = purpose | ((step >> S32) << np.uint64(16))
    for unit in range(0, out.shape[1], 4):
        block = np.uint64(unit) >> S2
        h0, h1, h2, h3 = philox4x32_inlined(block, c1, c2, c3, k0, k1)
        l0, l1, l2, l3 = philox4x32(block | TIE, c1, c2, c3, k0, k1)
        for j in range(unit, min(unit + 4, out.shape[1])):
            lane = np.uint64(j) & LOW2
            high = h0 if lane == 0 else h1 if lane == 1 else h2 if lane == 2 else h3
            low = l0 if lane == 0 else l1 if lane == 1 else l2 if lane == 2 else l3
            out[chain, j] = float((high << S21) | (low >> S11)) / TWO53


fill_uniform = over_chains(uniform_row)


# Normals, a tile of LANES chains at a time: elements [u LANES, (u + 1) LANES) of a tile are unit u -------------------


def lined_up(n_tiles: int, n: int) -> np.ndarray:
    """An empty (n_tiles, n) that begins with a cache line, so that no vector of a tile stands in two."""
    memory = np.empty(n_tiles * n + LINE // 8 - 1)
    first = -(memory.ctypes.data // 8) % (LINE // 8)
    return memory[first : first + n_tiles * n].reshape(n_tiles, n)


def to_tiles(rows: np.ndarray) -> np.ndarray:
    """Rows (chains, units) as tiles (tiles, units LANES); the last chain fills up the last tile."""
    n, units = rows.shape
    n_tiles = -(-n // LANES)
    tiles = lined_up(n_tiles, units * LANES)
    padded = rows[np.minimum(np.arange(n_tiles * LANES), n - 1)].reshape(n_tiles, LANES, units)
    tiles.reshape(n_tiles, units, LANES)[:] = padded.transpose(0, 2, 1)
    return tiles


def from_tiles(tiles: np.ndarray, n_chains: int, units: int) -> np.ndarray:
    """The inverse of ``to_tiles``: rows (chains, units)."""
    rows = tiles.reshape(len(tiles), units, LANES).transpose(0, 2, 1).reshape(len(tiles) * LANES, units)
    return np.ascontiguousarray(rows[:n_chains])


def centred(high, low):
    """2 u - 1 + 2^-53, exact and symmetric about 0, from the two words of a uniform u.

    The words become the fractions of 2^21 + high 2^-31 and 1/2 + (2 (low >> 11) + 1) 2^-53: vectors cannot convert
    64-bit integers, and here no sum rounds.
    """
    first, second = np.uint64(high | FIRST_WORD).view(np.float64), np.uint64(low >> S10 | SECOND_WORD).view(np.float64)
    return (first - (2.0**21 + 1.5)) + second


def centred_words(x, first_block, chain, c2, c3, k0, k1):
    """x = 2 u - 1 + 2^-53 of blocks of four units, for the chains of a tile: x (blocks 4 LANES,), unit by unit."""
    X = x.reshape(-1, 4, LANES)
    for b in range(len(X)):
        block = np.uint64(first_block + b)
        x0, x1, x2, x3 = X[b, 0], X[b, 1], X[b, 2], X[b, 3]
        for lane in range(len(x0)):
            c1 = (chain + np.uint64(lane)) & LOW32
            h0, h1, h2, h3 = philox4x32_inlined(block, c1, c2, c3, k0, k1)
            l0, l1, l2, l3 = philox4x32_inlined(block | TIE, c1, c2, c3, k0, k1)
            x0[lane], x1[lane], x2[lane], x3[lane] = centred(h0, l0), centred(h1, l1), centred(h2, l2), centred(h3, l3)


def begin(p, c, t):
    """p = sum_k c_k t^k."""
    for i in range(len(p)):
        p[i] = horner(c, t[i])


def go_on(p, c, t):
    """p = p t^len(c) + sum_k c_k t^k."""
    for i in range(len(p)):
        p[i] = horner_after(p[i], c, t[i])


def finish(z, x, p, t):
    """z = x (p t^4 + ...), or what holds in the tails; a tail is sought only where one may be, in blocks of numbers."""
    for first in range(0, len(z), 4 * LANES):
        here = slice(first, first + 4 * LANES)
        zb, xb, pb, tb, far = z[here], x[here], p[here], t[here], 0
        for i in range(len(zb)):
            far += tb[i] > BEFORE_EDGE
            zb[i] = xb[i] * horner_after(pb[i], CENTRE[:4], tb[i])
        if far:
            for i in range(len(zb)):
                if gap(xb[i]) < GAP_AT_EDGE:
                    zb[i] = normal_tail(xb[i])


begin = jit(begin)
go_on = jit(go_on)
finish = jit(finish)


def quantiles(z, x, p, t, k):
    """z = Phi^-1((1 + x) / 2), with the bits of smooth.normal_quantile; p, t and k are scratch.

    Each loop does a few operations for all numbers: in a long one they would wait for one another, and the processor
    does not look far enough ahead to do another number's meanwhile.
    """
    for i in range(len(x)):
        k[i], p[i] = split_number(gap(x[i]))
    for i in range(len(x)):
        t[i] = horner(LOG[4:], p[i] * p[i])
    for i in range(len(x)):
        t[i] = -joined_log(k[i], p[i], horner_after(t[i], LOG[:4], p[i] * p[i])) - MIDDLE
    begin(p, CENTRE[16:], t)
    go_on(p, CENTRE[12:16], t)
    go_on(p, CENTRE[8:12], t)
    go_on(p, CENTRE[4:8], t)
    finish(z, x, p, t)


centred = jit(centred)
centred_words = jit(centred_words)
quantiles = jit(quantiles)


def tile_normals(z, scratch, first_unit, chain, step, purpose, k0, k1):
    """Normals of the units from ``first_unit`` (a multiple of 4) on, for the chains of a tile from ``chain`` on.

    z (4 blocks LANES,) is filled; scratch (ROOM,).
    """
    c2 = step & LOW32
    c3 = purpose | ((step >> S32) << np.uint64(16))
    size, room = 4 * LANES * BLOCKS, scratch.reshape(4, -1)
    for first in range(0, len(z), size):
        some = z[first : first + size]
        n = len(some)
        x = room[0, :n]
        centred_words(x, (first_unit + first // LANES) // 4, chain, c2, c3, k0, k1)
        quantiles(some, x, room[1, :n], room[2, :n], room[3, :n])


tile_normals = jit(tile_normals)


def normal_tile(tile, z, scratch, step, address):
    """z[tile] = the normals of these chains at this step."""
    chain = address[3] + np.uint64(tile * LANES)
    tile_normals(z[tile], scratch[tile], 0, chain, step, address[0], address[1], address[2])


fill_normal = over_chains(normal_tile)
