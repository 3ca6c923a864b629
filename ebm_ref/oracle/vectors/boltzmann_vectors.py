"""Golden vectors of the Boltzmann machine, E(s) = -1/2 s'Js - c.s, J symmetric with zero diagonal, units in {0,1}.

Scans visit the units in the order 0, 1, ..., n-1; here, unlike in an RBM, the order inside the scan changes the matrix.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import factor_route as factor
from ebm_ref.oracle.vectors import fixtures as fx
from ebm_ref.oracle.vectors import table_route as tables
from ebm_ref.oracle.vectors.encoding import bits, group, hex_floats, index_of, invalid, mapped, valid
from ebm_ref.oracle.vectors.rbm_vectors import relative, size_of

Test = dict[str, Any]


def energy_terms(mp: Any, model: fx.Model, s: Any) -> Any:
    """sum of |terms| of E(s)."""
    on = [i for i, v in enumerate(s) if v]
    pairs = mp.fsum(abs(mp.mpf(model["J"][i][j])) for i in on for j in on)
    return pairs + mp.fsum(abs(mp.mpf(model["c"][i])) for i in on)


def formula_tests(mp: Any, model: fx.Model, data: list[list[int]]) -> list[Test]:
    """Energies, conditionals, log Z, law, means, likelihood and its gradient."""
    n = len(model["c"])
    t = tables.boltzmann_table(mp, model["J"], model["c"])
    size = size_of(mp, model)
    own = ["CouplingTwice", "EnergySign", "SpinConvention"]
    energies = [factor.boltzmann_energy(mp, model, s) for s in bits(n)]
    terms = [energy_terms(mp, model, s) for s in bits(n)]
    tests = [valid(mp, "energies", "all states", ["StateOrder", *own], {}, (t.energy, energies, terms))]
    tests.append(valid(mp, "energy", "one state", own, {"s": bits(n)[-2]}, (t.energy[-2], energies[-2], terms[-2])))
    for index, s in enumerate(bits(n)):
        p = []
        for i in range(n):
            off, on = t.weight[index & ~(1 << i)], t.weight[index | (1 << i)]
            p.append(on / (off + on))
        q = [factor.sigmoid(mp, z) for z in factor.boltzmann_logits(mp, model, s)]
        tests.append(valid(mp, "unit_probabilities", "p(s_i=1|rest)", own, {"s": s}, (p, q, relative(p, size))))
    log_z = factor.boltzmann_log_z(mp, model)
    tests.append(valid(mp, "log_z", "nats", own, {}, (mp.log(t.z), log_z, size)))
    law = [w / t.z for w in t.weight]
    second = [mp.exp(-e - log_z) for e in energies]
    tests.append(valid(mp, "probabilities", "p(s)", ["StateOrder", *own], {}, (law, second, relative(law, size))))
    means = tables.unit_probabilities(t, law, n)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    both = [mp.fsum(p for p, s in zip(law, bits(n), strict=True) if s[i] and s[j]) for i, j in pairs]
    names = [[("J", i, j), ("J", j, i)] for i, j in pairs] + [[("c", i)] for i in range(n)]
    moments = factor.gradient(factor.boltzmann_log_z, model, names)
    tests.append(valid(mp, "mean_s", "E[s]", own, {}, (means, moments[len(pairs) :], relative(means, size))))
    comment = "E[s_i s_j], i < j, row by row"
    tests.append(valid(mp, "mean_ss", comment, own, {}, (both, moments[: len(pairs)], relative(both, size))))
    value = mp.fsum(mp.log(law[index_of(s)]) for s in data) / len(data)
    answer = (value, factor.boltzmann_log_likelihood(mp, model, data), 2 * size)
    tests.append(valid(mp, "log_likelihood", "mean over rows", ["SumForMean", *own], {"data": data}, answer))
    seen = [mp.fsum(s[i] * s[j] for s in data) / len(data) for i, j in pairs]
    seen += [mp.fsum(s[i] for s in data) / len(data) for i in range(n)]
    first = [d - m for d, m in zip(seen, [*both, *means], strict=True)]
    scale = [d + m * size for d, m in zip(seen, [*both, *means], strict=True)]
    second = factor.gradient(lambda ctx, moved: factor.boltzmann_log_likelihood(ctx, moved, data), model, names)
    flags = ["GradientSign", "SumForMean", "CouplingTwice"]
    comment = "ascent; J_ij = J_ji moved together"
    tests.append(valid(mp, "log_likelihood_gradient", comment, flags, {"data": data}, (first, second, scale)))
    return tests


def kernel_tests(mp: Any, model: fx.Model) -> list[Test]:
    """Transition matrices and spectral gaps."""
    n = len(model["c"])
    t = tables.boltzmann_table(mp, model["J"], model["c"])
    size = size_of(mp, model)

    def logit(s: Any, i: int) -> Any:
        return factor.boltzmann_logits(mp, model, s)[i]

    order = list(range(n))
    back = order + order[-2::-1]
    kernels = {
        "gibbs": (tables.scan_kernel(t, order), factor.scan_kernel(mp, logit, n, order)),
        "gibbs_random": (
            tables.random_scan_kernel(t),
            factor.flip_kernel(mp, logit, n, lambda d: factor.sigmoid(mp, d)),
        ),
        "gibbs_palindromic": (tables.scan_kernel(t, back), factor.scan_kernel(mp, logit, n, back)),
        "metropolis": (
            tables.metropolis_kernel(t),
            factor.flip_kernel(mp, logit, n, lambda d: mp.exp(min(d, mp.mpf(0)))),
        ),
    }
    flags = {
        "gibbs": ["ScanOrder"],
        "gibbs_random": ["SiteChoice"],
        "gibbs_palindromic": ["ScanOrder"],
        "metropolis": ["GlauberForMetropolis", "RejectionsDropped", "DeltaEnergy"],
    }
    law = [w / t.z for w in t.weight]
    tests = []
    for name, (first, second) in kernels.items():
        scale = mapped(lambda v: (v + mp.mpf(10) ** -60) * n * size, first)
        if name == "metropolis":
            scale = [[n * size if i == j else s for j, s in enumerate(row)] for i, row in enumerate(scale)]
        given = {"kernel": name}
        tests.append(valid(mp, "transition_matrix", name, ["StateOrder", *flags[name]], given, (first, second, scale)))
    for name in ("gibbs_random", "gibbs_palindromic", "metropolis"):
        first, second = kernels[name]
        answer = (1 - tables.second_eigenvalue(mp, first, law), 1 - factor.second_eigenvalue(mp, second), 10 * n * size)
        tests.append(valid(mp, "spectral_gap", name, ["AbsoluteGap"], {"kernel": name, "space": "joint"}, answer))
    return tests


def refused() -> list[Test]:
    """Inputs that must raise, or give NaN."""
    J, c = hex_floats(fx.BOLTZMANN_4["J"]), hex_floats(fx.BOLTZMANN_4["c"])
    s = [1, 0, 1, 1]
    lopsided = [[*J[0][:1], hex_floats(9.5), *J[0][2:]], *J[1:]]
    diagonal = [[hex_floats(1.0), *J[0][1:]], *J[1:]]
    return [
        invalid("log_z", "NaN in c", ["NonFinite"], {"model": {"J": J, "c": ["nan", *c[1:]]}}),
        invalid("energy", "c too short", ["WrongShape"], {"model": {"J": J, "c": c[:3]}, "s": s}),
        invalid("energy", "s too short", ["WrongShape"], {"s": s[:3]}),
        invalid("log_z", "J not symmetric", ["Asymmetric"], {"model": {"J": lopsided, "c": c}}),
        invalid("log_z", "J with a diagonal", ["Asymmetric"], {"model": {"J": diagonal, "c": c}}),
    ]


def groups(mp: Any) -> list[dict[str, Any]]:
    """All groups of the file."""
    rows_3 = [[1, 0, 1], [0, 1, 1], [1, 1, 0]]
    return [
        group("BoltzmannExact 4", 100, fx.BOLTZMANN_4, formula_tests(mp, fx.BOLTZMANN_4, fx.ROWS_4)),
        group("BoltzmannExact 3", 200, fx.BOLTZMANN_3, formula_tests(mp, fx.BOLTZMANN_3, rows_3)),
        group("BoltzmannKernels 4", 2100, fx.BOLTZMANN_4, kernel_tests(mp, fx.BOLTZMANN_4)),
        group("BoltzmannKernels 3", 2200, fx.BOLTZMANN_3, kernel_tests(mp, fx.BOLTZMANN_3)),
        group("BoltzmannInvalid", 9000, fx.BOLTZMANN_4, refused()),
    ]
