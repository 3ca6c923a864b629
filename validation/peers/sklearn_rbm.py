"""scikit-learn's BernoulliRBM: conditionals, free energy, Gibbs step, score_samples, partial_fit, fit.

It learns by stochastic maximum likelihood: ``batch_size`` persistent chains, first at h = 0; each call draws
v ~ p(.|h), takes (pos - neg) / n_rows with probabilities of h in both phases, and then draws h ~ p(.|v).
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special, stats
from sklearn.neural_network import BernoulliRBM

from ebm_ref.oracle import cases, check_kernel
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import check_conditionals
from ebm_ref.oracle.checks_learning import check_update
from ebm_ref.oracle.deterministic import value_result
from ebm_ref.oracle.results import Report
from ebm_ref.oracle.statistics.exact import binomial_p
from ebm_ref.oracle.statistics.seeds import NULL, Seeds
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, Stage
from validation.peers.laws import decide
from validation.peers.table import Finding, Peer, Row
from validation.peers.updates import BATCH, declared_report, exact_gradient, law_from_hidden

PEER = Peer("scikit-learn BernoulliRBM", "scikit-learn")
CASE = cases.named("rbm_4x2")

UNEQUAL = """
import numpy as np
from sklearn.neural_network import BernoulliRBM

rbm = BernoulliRBM(n_components=2, learning_rate=1.0, batch_size=10, random_state=0)
rbm.components_ = np.zeros((2, 3))  # every unit is on with probability sigmoid(40) = 1,
rbm.intercept_hidden_ = np.zeros(2)
rbm.intercept_visible_ = np.full(3, 40.0)  # so this model already fits data of ones
rbm.partial_fit(np.ones((100, 3)))
print(rbm.intercept_visible_ - 40)  # [0.9 0.9 0.9]; 0 with 10 rows, -1 with 5 rows
"""

FEW_ROWS = """
import numpy as np
from sklearn.neural_network import BernoulliRBM

X = np.array([[1, 0], [1, 1], [1, 0], [0, 1], [1, 1]], dtype=float)  # 5 rows, means 0.8 and 0.6
for batch_size in (5, 10):  # 10 is the default
    rbm = BernoulliRBM(n_components=1, learning_rate=0.02, batch_size=batch_size, n_iter=5000, random_state=0).fit(X)
    v = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    p = np.exp(v @ rbm.intercept_visible_) * (1 + np.exp(v @ rbm.components_.T + rbm.intercept_hidden_)).prod(axis=1)
    print(batch_size, p @ v / p.sum())  # exact means of the model: 5 gives about .81 .58; 10 about .39 .30
"""


UNEQUAL_HOW = (
    "Both phases are divided by the number of rows, but the negative one sums over batch_size chains: its"
    " weight is batch_size / rows (here 5/20), and the mean update <pos> - batch_size/rows <neg>. The docstring of"
    " partial_fit asks for no particular number of rows; related upstream: issue 4211, pull request 12902."
    " Setting batch_size to the number of rows passed avoids it."
)
FEW_ROWS_HOW = (
    "Same cause: batches shorter than batch_size (all of them if n_samples < batch_size, else the last one of an epoch)"
    " weight the negative phase by batch_size / rows; with 5 rows and the default batch_size 10 training settles where"
    " the model's means are half of the data's. It does not happen when batch_size divides n_samples."
)


def machine(case: Case = CASE, *, batch_size: int = 1, learning_rate: float = 1.0, seed: int = 0) -> BernoulliRBM:
    """A BernoulliRBM that holds the case's parameters, its random numbers from ``seed``."""
    rbm = BernoulliRBM(
        n_components=case.n_hidden, batch_size=batch_size, learning_rate=learning_rate, random_state=seed
    )
    rbm.components_ = np.array(case.W.T, order="F")
    rbm.intercept_hidden_, rbm.intercept_visible_ = np.array(case.b), np.array(case.a)
    rbm.n_features_in_ = case.n_visible
    rbm.random_state_ = np.random.RandomState(seed)
    return rbm


# formulas and sampling ------------------------------------------------------------------------------------------------


def conditionals() -> Report:
    """``transform`` on every x; the visible side has no public method, the Gibbs step judges it."""
    visible = lambda h: special.expit(CASE.a + h @ CASE.W.T)  # noqa: E731
    return check_conditionals((machine().transform, visible), CASE)


def free_energy() -> Finding:
    """``_free_energy`` (behind score_samples) against the log of the summed joint."""
    nv = CASE.n_visible
    x, index = np.unique(CASE.states[:, :nv], axis=0, return_inverse=True)
    exact = np.array([-special.logsumexp(-CASE.energies[index.ravel() == k]) for k in range(len(x))])
    scale = 1.0 + np.abs(x) @ np.abs(CASE.a) + (np.abs(CASE.b) + x @ np.abs(CASE.W)).sum(axis=1)
    result = value_result("D1", machine()._free_energy(x), exact, scale, [str(row) for row in x], "")
    return Finding(result.verdict == "pass", result.effect, 30.0, "test ratio", None, result.n, result.message)


def gibbs_step(states: np.ndarray, seed: int) -> np.ndarray:
    """v' from the public ``gibbs``; h' is the draw that it makes on the way, repeated from the same generator."""
    v = states[:, : CASE.n_visible]
    h = machine(seed=seed)._sample_hiddens(v, np.random.RandomState(seed))
    return np.hstack([machine(seed=seed).gibbs(v), h]).astype(float)


def uniform_stage(counts: np.ndarray) -> Stage:
    """Counts of equally probable outcomes: exact binomials, Bonferroni over outcomes."""
    n, k = int(counts.sum()), len(counts)
    p = min(1.0, k * float(binomial_p(counts, np.full(k, n), np.full(k, 1.0 / k)).min()))
    return Stage(p, float(np.abs(counts * k / n - 1).max()), {"worst": f"counts {counts.tolist()}"})


def score_test(seed: int, n0: int = 2**14) -> Finding:
    """score_samples draws a unit i and returns n log p(v_i | rest): each legal value 1/n of the time."""
    seeds, nv = Seeds(seed), CASE.n_visible
    x = np.array([1.0, 0.0, 1.0, 1.0])
    flipped = np.where(np.eye(nv) == 1, 1 - x, x)
    free = machine()._free_energy
    legal = -nv * np.logaddexp(0.0, free(x[None]) - free(flipped))

    def stage(n: int, j: int) -> Stage:
        rbm = machine().set_params(random_state=seeds.candidate("score", j))
        score = rbm.score_samples(np.tile(x, (n, 1)))
        index = np.abs(score[:, None] - legal).argmin(axis=1)
        off = np.abs(score - legal[index]).max()
        if off > 1e-12:
            return Stage(0.0, float(off), {"worst": f"illegal value, {off:.3g} from the nearest"})
        counts = np.bincount(index, minlength=nv)
        return uniform_stage(counts)

    return decide(stage, n0, 1, "relative excess of one unit's share", nv, np.sqrt(nv - 1))


# learning -------------------------------------------------------------------------------------------------------------


def difference(rbm: BernoulliRBM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dW, da, db) since ``machine``."""
    return (rbm.components_ - CASE.W.T).T, rbm.intercept_visible_ - CASE.a, rbm.intercept_hidden_ - CASE.b


def first_update(rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """partial_fit from fresh chains, as many as rows."""
    rbm = machine(batch_size=len(rows), seed=seed)
    rbm.partial_fit(rows)
    return difference(rbm)


def data_update(rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """partial_fit with the chains at h ~ p(.|row): this is CD-1, with the same code."""
    rbm = machine(batch_size=len(rows), seed=seed)
    rbm.h_samples_ = rbm._sample_hiddens(rows, rbm.random_state_).astype(float)
    rbm.partial_fit(rows)
    return difference(rbm)


def chain_step(states: np.ndarray, seed: int) -> np.ndarray:
    """One partial_fit moves (h, v) to v' ~ p(.|h), h' ~ p(.|v'): block Gibbs with the layers exchanged, rows [h, v]."""
    nh = CASE.n_hidden
    h = states[:, :nh]
    rbm = machine(batch_size=len(h), learning_rate=1e-200, seed=seed)
    rbm.h_samples_ = np.array(h)
    v = rbm._sample_visibles(h, np.random.RandomState(seed))
    rbm.partial_fit(np.zeros((len(h), CASE.n_visible)))
    return np.hstack([rbm.h_samples_, v]).astype(float)


def unequal_test(seed: int, n_rows: int = 20, chains: int = 5, n0: int = 2**6) -> Finding:
    """partial_fit with more rows than chains: is the mean update <pos> - <neg>?  Effect: sd of one update."""
    seeds, rows = Seeds(seed), np.tile(BATCH, (n_rows // len(BATCH), 1))
    one = law_from_hidden(CASE, np.zeros(CASE.n_visible), np.zeros(CASE.n_hidden))
    means = [law_from_hidden(CASE, x, np.zeros(CASE.n_hidden)).mean for x in BATCH]
    expected, sd = np.mean(means, axis=0), np.sqrt(np.diag(one.covariance) / chains)

    def update(number: int) -> np.ndarray:
        rbm = machine(batch_size=chains, seed=number)
        rbm.partial_fit(rows)
        return np.concatenate([v.ravel() for v in difference(rbm)])

    def stage(n: int, j: int) -> Stage:
        mean = np.mean([update(seeds.candidate("unequal", j, i)) for i in range(n)], axis=0)
        counts = seeds.rng("unequal", j, NULL).multinomial(n * chains, one.p, size=MONTE_CARLO)
        null = np.abs((counts @ one.values / (n * chains) - one.mean) / sd).max(axis=1)
        z = np.abs((mean - expected) / sd)
        p = float((1 + (null >= z.max()).sum()) / (MONTE_CARLO + 1))
        return Stage(p, float(z.max()), {"worst": f"coordinate {int(z.argmax())}"})

    return decide(stage, n0, 1, "shift of the mean update, in its standard deviations", len(expected))


def few_rows_test(seed: int, batch_size: int) -> Finding:
    """fit on 5 rows: exact mean of the fitted model against the data.

    Ten fits; their spread gives the standard error, and a t test at 1e-6 the verdict (fits are not quite normal: the
    level is approximate).
    """
    X = np.array([[1, 0], [1, 1], [1, 0], [0, 1], [1, 1]], dtype=float)
    v = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    seeds, found = Seeds(seed), []
    for i in range(10):
        number = seeds.candidate("few rows", 0, i)
        rbm = BernoulliRBM(1, learning_rate=0.02, batch_size=batch_size, n_iter=3000, random_state=number).fit(X)
        found.append(special.softmax(-rbm._free_energy(v)) @ v[:, 0])
    gap, error = float(np.mean(found) - X[:, 0].mean()), float(np.std(found, ddof=1) / np.sqrt(10))
    p = float(2 * special.stdtr(9, -abs(gap) / error))
    critical = -special.stdtrit(9, 0.5e-6)
    shift = optimize.brentq(lambda d: stats.nct.sf(critical, 9, d) - 0.999, critical, 10 * critical)
    return Finding(p > 1e-6, gap, float(shift * error), "model mean minus data mean of unit 0", p, 10, "")


def one_batch_fit(seed: int, n0: int = 2**12) -> Finding:
    """fit on one batch of one row: W0 ~ N(0, .01^2), chains at 0, so v is uniform and the rest follows from it."""
    seeds, x = Seeds(seed), np.array([[1.0, 0.0, 1.0, 1.0]])

    def drawn(number: int) -> tuple[int, float]:
        rbm = BernoulliRBM(n_components=2, learning_rate=1.0, batch_size=1, n_iter=1, random_state=number).fit(x)
        W0 = np.random.RandomState(number).normal(0, 0.01, (2, 4))
        v = x[0] - rbm.intercept_visible_
        pos, neg = special.expit(W0 @ x[0]), special.expit(W0 @ v)
        off = np.abs(rbm.components_ - W0 - np.outer(pos, x[0]) + np.outer(neg, v)).max()
        return int(v @ 2 ** np.arange(4)), max(off, np.abs(rbm.intercept_hidden_ - pos + neg).max())

    def stage(n: int, j: int) -> Stage:
        found = [drawn(seeds.candidate("fit", j, i)) for i in range(n)]
        if max(off for _, off in found) > 1e-14:
            return Stage(0.0, 1.0, {"worst": "the update does not follow from the v drawn"})
        counts = np.bincount([v for v, _ in found], minlength=16)
        return uniform_stage(counts)

    return decide(stage, n0, 1, "relative excess of one v's share", 16, np.sqrt(15))


def start_remark() -> str:
    """How far the declared expectation of the first update lies from the gradient."""
    means = [law_from_hidden(CASE, x, np.zeros(CASE.n_hidden)).mean for x in BATCH]
    gap = np.abs(np.mean(means, axis=0) - exact_gradient(CASE, BATCH)).max()
    words = "Declared as documented: persistent chains (SML), first state h = 0, probabilities of h in both phases."
    return (
        f"{words} From that start the exact mean of the first update is up to {gap:.2f} from the gradient, by design."
    )


def rows(seed: int = 0) -> list[Row]:
    """All rows of this peer."""
    swapped = cases.rbm(CASE.W.T, CASE.b, CASE.a, name="rbm_4x2 exchanged")
    return [
        PEER.measure("transform = p(h|x)", conditionals),
        PEER.measure("free energy", free_energy, remark="Private method, the one behind score_samples."),
        PEER.measure("gibbs = one block-Gibbs step", lambda: check_kernel(gibbs_step, CASE, seed=seed)),
        PEER.measure(
            "score_samples = one random term of the pseudo-likelihood",
            lambda: score_test(seed),
            remark="Stochastic as documented, and unbiased for the pseudo-log-likelihood; an int seed fixes the draw.",
        ),
        PEER.measure(
            "partial_fit, first update, rows = batch_size",
            lambda: declared_report(first_update, CASE, BATCH, seed),
            remark=start_remark(),
        ),
        PEER.measure(
            "partial_fit with chains at the data = CD-1", lambda: check_update(data_update, CASE, BATCH, seed=seed)
        ),
        PEER.measure(
            "persistent chain of partial_fit = block Gibbs", lambda: check_kernel(chain_step, swapped, seed=seed)
        ),
        PEER.measure("fit, one batch of batch_size rows", lambda: one_batch_fit(seed)),
        PEER.measure("fit, 5 rows with batch_size 5: means of the fitted model", lambda: few_rows_test(seed, 5)),
        PEER.measure(
            "partial_fit, rows != batch_size",
            lambda: unequal_test(seed),
            how=UNEQUAL_HOW,
            snippet=UNEQUAL,
        ),
        PEER.measure(
            "fit, 5 rows with batch_size 10: means of the fitted model",
            lambda: few_rows_test(seed, 10),
            how=FEW_ROWS_HOW,
            snippet=FEW_ROWS,
        ),
    ]
