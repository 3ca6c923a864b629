"""The equations of discrete models and kernels, read aloud: plain loops, no vector tricks.

(1) Bernoulli RBM       E(x, h) = -a.x - b.h - x'Wh,             x, h in {0,1},  W (nv, nh)
(2) Boltzmann machine   E(s) = -1/2 s'Js - c.s,                  s in {0,1},     J symmetric, zero diagonal
(3) Ising               E(s) = -1/2 s'Js - h.s,                  s in {-1,+1}
(4) law                 pi(s) = exp(-E(s)) / Z,                  log Z = log sum_s exp(-E(s))
(5) conditional         p(s_i = up | rest) = 1 / (1 + exp(E(s_i = up) - E(s_i = down)))
(6) Gibbs site          K_i: s_i' ~ p(. | rest);  a flip has probability p(other value | rest)
(7) Metropolis site     flip s_i with probability min(1, exp(-(E(flipped) - E(s))))
(8) scans               systematic K_1 K_2 .. K_n;  random (1/n) sum K_i;  palindromic K_1 .. K_n .. K_1
(9) block Gibbs         h' ~ p(.|x), then x' ~ p(.|h'):          P[(x,h), (x',h')] = p(h'|x) p(x'|h')

A state is a tuple of its units, visible units first; its index is sum_i [s_i is up] 2^i, "up" being 1 (or +1).
Matrices act on row vectors: P[i][j] is the probability of going from state i to state j.  Energies contain beta.
Sources: Smolensky 1986; Ackley, Hinton, Sejnowski 1985; Metropolis et al. 1953; Geman and Geman 1984.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

Row = Sequence[float]
Table = Sequence[Sequence[float]]
Matrix = list[list[float]]


def rbm_energy(W: Table, a: Row, b: Row, x: Row, h: Row) -> float:
    """(1), for one state.  W (nv, nh), a (nv,), b (nh,); the answer in nats.

    >>> rbm_energy([[2.0]], [0.5], [-1.0], [1], [1])
    -1.5
    """
    visible = math.fsum(a[i] * x[i] for i in range(len(a)))
    hidden = math.fsum(b[j] * h[j] for j in range(len(b)))
    pairs = math.fsum(x[i] * W[i][j] * h[j] for i in range(len(a)) for j in range(len(b)))
    return -visible - hidden - pairs


def boltzmann_energy(J: Table, c: Row, s: Row) -> float:
    """(2), for one state of 0s and 1s.

    >>> boltzmann_energy([[0.0, 3.0], [3.0, 0.0]], [1.0, -0.5], [1, 1])
    -3.5
    """
    n = len(c)
    pairs = math.fsum(s[i] * J[i][j] * s[j] for i in range(n) for j in range(n))
    return -0.5 * pairs - math.fsum(c[i] * s[i] for i in range(n))


def ising_energy(J: Table, h: Row, s: Row) -> float:
    """(3), for one state of -1s and +1s: the formula is (2), the values of the units are not.

    >>> ising_energy([[0.0, 3.0], [3.0, 0.0]], [1.0, -0.5], [-1, 1])
    4.5
    """
    return boltzmann_energy(J, h, s)


def states(n: int, values: tuple[int, int] = (0, 1)) -> list[tuple[int, ...]]:
    """All 2^n states in the order of their index sum_i [s_i is up] 2^i.

    >>> states(2), states(1, (-1, 1))
    ([(0, 0), (1, 0), (0, 1), (1, 1)], [(-1,), (1,)])
    """
    return [word[::-1] for word in itertools.product(values, repeat=n)]


def state_index(s: Row, values: tuple[int, int] = (0, 1)) -> int:
    """The place of a state in ``states``.

    >>> state_index((0, 1, 1)), state_index((1, -1), (-1, 1))
    (6, 1)
    """
    return sum(2**i for i in range(len(s)) if s[i] == values[1])


def log_z(energies: Row) -> float:
    """log Z of (4): the greatest term taken out, the rest summed exactly.

    >>> round(log_z([0.0, 0.0]), 12) == round(math.log(2), 12)
    True
    """
    lowest = min(energies)
    return math.log(math.fsum(math.exp(lowest - e) for e in energies)) - lowest


def law(energies: Row) -> list[float]:
    """pi of (4), one probability a state.

    >>> [round(p, 12) for p in law([0.0, math.log(3.0)])]
    [0.75, 0.25]
    """
    normalizer = log_z(energies)
    weights = [math.exp(-e - normalizer) for e in energies]
    total = math.fsum(weights)
    return [w / total for w in weights]


def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)), the exponential taken where it cannot overflow.

    >>> sigmoid(0.0), sigmoid(-800.0)
    (0.5, 0.0)
    """
    if z < 0:
        return math.exp(z) / (1.0 + math.exp(z))
    return 1.0 / (1.0 + math.exp(-z))


def probability_up(energies: Row, index: int, site: int) -> float:
    """(5), from the two energies that differ in that site only.

    >>> round(probability_up([0.0, -1.0], 0, 0), 6)
    0.731059
    """
    bit = 2**site
    return sigmoid(energies[index & ~bit] - energies[index | bit])


def gibbs_flip(energies: Row, index: int, site: int) -> float:
    """(6): the probability that the update of this site changes its value.

    >>> gibbs_flip([0.0, 0.0], 0, 0)
    0.5
    """
    return sigmoid(energies[index] - energies[index ^ 2**site])


def metropolis_flip(energies: Row, index: int, site: int) -> float:
    """(7): the probability that the proposed flip of this site is accepted.

    >>> metropolis_flip([0.0, math.log(4.0)], 0, 0), metropolis_flip([0.0, math.log(4.0)], 1, 0)
    (0.25, 1.0)
    """
    change = energies[index ^ 2**site] - energies[index]
    return math.exp(-max(0.0, change))


Flip = Callable[[Row, int, int], float]


def site_update(row: dict[int, float], energies: Row, site: int, flip: Flip) -> dict[int, float]:
    """One site kernel K_i applied to a law over states: every state keeps or flips the site."""
    after: dict[int, float] = {}
    for index, mass in row.items():
        p = flip(energies, index, site)
        after[index] = after.get(index, 0.0) + mass * (1.0 - p)
        flipped = index ^ 2**site
        after[flipped] = after.get(flipped, 0.0) + mass * p
    return after


def systematic(energies: Row, order: Sequence[int], flip: Flip) -> Matrix:
    """K_{o1} K_{o2} .. of (8): the sites of ``order`` one after the other."""
    rows = []
    for start in range(len(energies)):
        row = {start: 1.0}
        for site in order:
            row = site_update(row, energies, site, flip)
        rows.append([row.get(end, 0.0) for end in range(len(energies))])
    return rows


def random_scan(energies: Row, sites: Sequence[int], flip: Flip) -> Matrix:
    """(1/n) sum_i K_i of (8): ONE uniformly chosen site a step."""
    rows = []
    for start in range(len(energies)):
        row = [0.0] * len(energies)
        for site in sites:
            for end, mass in site_update({start: 1.0}, energies, site, flip).items():
                row[end] += mass / len(sites)
        rows.append(row)
    return rows


def block_gibbs(energies: Row, n_visible: int, n_hidden: int, free: Sequence[int], flip: Flip = gibbs_flip) -> Matrix:
    """(9), unit by unit: each hidden unit given x, then each visible unit given the new h.  Units not free stay."""
    hidden = [i for i in range(n_visible, n_visible + n_hidden) if i in free]
    visible = [i for i in range(n_visible) if i in free]
    size = len(energies)

    def block(start: int, end: int, units: Sequence[int]) -> float:
        probability = 1.0
        for i in range(n_visible + n_hidden):
            if i in units:
                p = flip(energies, start, i)
                probability *= p if (start ^ end) & 2**i else 1.0 - p
            elif (start ^ end) & 2**i:
                return 0.0
        return probability

    to_hidden = [[block(s, m, hidden) for m in range(size)] for s in range(size)]
    to_visible = [[block(m, e, visible) for e in range(size)] for m in range(size)]
    rows = []
    for s in range(size):
        reached = [m for m in range(size) if to_hidden[s][m] > 0]
        rows.append([math.fsum(to_hidden[s][m] * to_visible[m][e] for m in reached) for e in range(size)])
    return rows


KERNELS = (
    "block_gibbs",
    "gibbs",
    "gibbs_random",
    "gibbs_palindromic",
    "metropolis",
    "metropolis_sweep",
)


def transition_matrix(
    energies: Row,
    kernel: str,
    n_visible: int,
    n_hidden: int = 0,
    clamped: Sequence[int] = (),
    flips: tuple[Flip, Flip] = (gibbs_flip, metropolis_flip),
) -> Matrix:
    """The exact transition matrix (2^n, 2^n) of one step of a named kernel; clamped units are never updated.

    ``flips`` are the site updates of Gibbs and of Metropolis kernels, (6) and (7).

    block_gibbs        (9)
    gibbs              systematic scan, hidden units first, then the visible ones; 0 .. n-1 if nothing is hidden
    gibbs_random       one uniformly chosen free site a step
    gibbs_palindromic  K_1 .. K_n .. K_1 in the order of ``gibbs``
    metropolis         one uniformly proposed single flip a step (7);   metropolis_sweep  one proposal a site, in order

    >>> P = transition_matrix([0.0, 0.0], "metropolis", 1)
    >>> P
    [[0.0, 1.0], [1.0, 0.0]]
    """
    free = [i for i in range(n_visible + n_hidden) if i not in clamped]
    order = [i for i in free if i >= n_visible] + [i for i in free if i < n_visible]
    if kernel == "block_gibbs":
        return block_gibbs(energies, n_visible, n_hidden, free, flips[0])
    if kernel == "gibbs":
        return systematic(energies, order, flips[0])
    if kernel == "gibbs_random":
        return random_scan(energies, free, flips[0])
    if kernel == "gibbs_palindromic":
        return systematic(energies, order + order[-2::-1], flips[0])
    if kernel == "metropolis":
        return random_scan(energies, free, flips[1])
    if kernel == "metropolis_sweep":
        return systematic(energies, order, flips[1])
    raise ValueError(f"kernel: expected one of {', '.join(KERNELS)}, got {kernel!r}")
