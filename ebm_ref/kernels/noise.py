"""Random numbers at addresses: a Stream is (seed, purpose), an element is (step, chain, unit).

The numbering below is a promise: a number, once given out, keeps its meaning in every later version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.errors import DomainError, require_int
from ebm_ref.maths.philox import LOW2, LOW32, S2, S11, S21, S32, TIE, TWO53, philox4x32, philox4x32_inlined
from ebm_ref.maths.smooth import GAP_AT_EDGE, centre_argument, normal_centre_at, normal_tail

LANES = 16  # chains that a tile holds side by side: loops over them vectorise

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
        z, x = np.empty((n_tiles, 4 * n_blocks * LANES)), np.empty((n_tiles, 4 * LANES))
        fill_normal(n_tiles, z, x, np.uint64(step), self.address, work=60 * z.size)
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


def to_tiles(rows: np.ndarray) -> np.ndarray:
    """Rows (chains, units) as tiles (tiles, units LANES); the last chain fills up the last tile."""
    n, units = rows.shape
    n_tiles = -(-n // LANES)
    tiles = rows[np.minimum(np.arange(n_tiles * LANES), n - 1)].reshape(n_tiles, LANES, units)
    return np.ascontiguousarray(tiles.transpose(0, 2, 1)).reshape(n_tiles, units * LANES)


def from_tiles(tiles: np.ndarray, n_chains: int, units: int) -> np.ndarray:
    """The inverse of ``to_tiles``: rows (chains, units)."""
    rows = tiles.reshape(len(tiles), units, LANES).transpose(0, 2, 1).reshape(len(tiles) * LANES, units)
    return np.ascontiguousarray(rows[:n_chains])


def centred(high, low):
    """2 u - 1 + 2^-53, exact and symmetric about 0, from the two words of a uniform u."""
    return float((high << S21) | (low >> S11)) * (2.0 / TWO53) - (1.0 - 1.0 / TWO53)


def centred_words(x, block, chain, c2, c3, k0, k1):
    """x = 2 u - 1 + 2^-53 of the four units of a block, for consecutive chains: x (4 lanes,), unit by unit."""
    lanes = len(x) // 4
    x0, x1, x2, x3 = x[:lanes], x[lanes : 2 * lanes], x[2 * lanes : 3 * lanes], x[3 * lanes :]
    for lane in range(lanes):
        c1 = (chain + np.uint64(lane)) & LOW32
        h0, h1, h2, h3 = philox4x32_inlined(block, c1, c2, c3, k0, k1)
        l0, l1, l2, l3 = philox4x32_inlined(block | TIE, c1, c2, c3, k0, k1)
        x0[lane], x1[lane], x2[lane], x3[lane] = centred(h0, l0), centred(h1, l1), centred(h2, l2), centred(h3, l3)


def quantiles(z, x):
    """z = Phi^-1((1 + x) / 2): two loops for all (in one, each number waits for a polynomial after another), then the
    few that lie in the tails."""
    n_tails = 0
    for k in range(len(x)):
        z[k] = centre_argument(x[k])
        n_tails += (1.0 - x[k]) * (1.0 + x[k]) < GAP_AT_EDGE
    for k in range(len(x)):
        z[k] = normal_centre_at(x[k], z[k])
    if n_tails:
        for k in range(len(x)):
            if (1.0 - x[k]) * (1.0 + x[k]) < GAP_AT_EDGE:
                z[k] = normal_tail(x[k])


centred = jit(centred)
centred_words = jit(centred_words)
quantiles = jit(quantiles)


def tile_normals(z, x, first_unit, chain, step, purpose, k0, k1):
    """Normals of the units from ``first_unit`` (a multiple of 4) on, for the chains of a tile from ``chain`` on.

    z (4 blocks LANES,) is filled, x (4 LANES,) is scratch.
    """
    c2 = step & LOW32
    c3 = purpose | ((step >> S32) << np.uint64(16))
    size = len(x)
    for block in range(len(z) // size):
        centred_words(x, np.uint64(first_unit // 4 + block), chain, c2, c3, k0, k1)
        quantiles(z[block * size : (block + 1) * size], x)


tile_normals = jit(tile_normals)


def normal_tile(tile, z, x, step, address):
    """z[tile] = the normals of these chains at this step."""
    chain = address[3] + np.uint64(tile * LANES)
    tile_normals(z[tile], x[tile], 0, chain, step, address[0], address[1], address[2])


fill_normal = over_chains(normal_tile)
