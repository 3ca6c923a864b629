"""The zoo of learning: wrong contrastive-divergence updates as small mutations of one right update.

Numbers are those of the catalogue of mistakes seen in the wild (83 deeplearning-style stale hidden units, 85 mean-field
reconstructions, 88 sampled statistics, ...), 0 if the bug is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ebm_ref.oracle.cases import Case, named
from ebm_ref.oracle.update_recipe import UpdateRecipe, make_update, reference, with_parameters
from ebm_ref.oracle.zoo.believed import BELIEVED

Array = np.ndarray
Mutation = Callable[[UpdateRecipe, Case], UpdateRecipe | None]


@dataclass(frozen=True)
class LearningBug:
    """A record of the zoo of learning; fields as in the zoo of kernels, with the declared ``k`` for the kernel.

    killed_by  the test of ``check_update`` that must find it, then others that do
    profile    the smallest profile in which it dies
    start      "particles" if persistent chains are declared
    """

    id: str
    number: int
    description: str
    case: str
    k: int
    killed_by: tuple[str, ...]
    profile: str
    mutate: Mutation
    start: str = "data"

    def fixture(self) -> Case:
        """The case on which this bug is audited."""
        return named(self.case)

    def recipe(
        self, case: Case, k: int | None = None, variant: str = "rao_blackwell", start: str | None = None
    ) -> UpdateRecipe | None:
        """The mutated update of a case; None where the mistake means nothing."""
        declared = reference(case, self.k if k is None else k, variant, self.start if start is None else start)
        return self.mutate(declared, case)

    def update(self) -> Callable[..., tuple[Array, Array, Array]]:
        """The wrong ``update(rows, seed) -> (dW, da, db)`` on its fixture, with particles before the seed for PCD."""
        recipe = self.recipe(self.fixture())
        if recipe is None:
            raise ValueError(f"{self.id} means nothing on {self.case}")
        return make_update(recipe)


def changed(**fields: object) -> Mutation:
    """Fields of the recipe replaced."""
    return lambda recipe, case: replace(recipe, **fields)  # type: ignore[arg-type]


def steps(extra: int) -> Mutation:
    """k off by some steps; means nothing if none is left."""
    return lambda recipe, case: replace(recipe, k=recipe.k + extra) if recipe.k + extra > 0 else None


def square(mutation: Mutation) -> Mutation:
    """Means something only for a square W that is not symmetric."""

    def mutate(recipe: UpdateRecipe, case: Case) -> UpdateRecipe | None:
        nv, nh = recipe.W.shape
        return mutation(recipe, case) if nv == nh and not np.allclose(recipe.W, recipe.W.T) else None

    return mutate


def transposed_down(recipe: UpdateRecipe, case: Case) -> UpdateRecipe:
    """W' for W in p(x|h) only."""
    return replace(recipe, W_down=recipe.W.T)


def unmoved(recipe: UpdateRecipe, case: Case) -> UpdateRecipe | None:
    """No step of the particles before the statistic."""
    return replace(recipe, k=0) if recipe.start == "particles" else None


def statistic_drawn(recipe: UpdateRecipe, case: Case) -> UpdateRecipe | None:
    """Hidden units of the negative statistic drawn where probabilities are declared."""
    return replace(recipe, negative="sample") if recipe.negative == "mean" else None


def both_drawn(recipe: UpdateRecipe, case: Case) -> UpdateRecipe | None:
    """Hidden units of both statistics drawn."""
    return replace(recipe, positive="sample", negative="sample") if recipe.positive == "mean" else None


def believed(id: str) -> Mutation:
    """A mistake of the zoo of kernels about the parameters."""
    bug = next(b for b in BELIEVED if b.id == id)

    def mutate(recipe: UpdateRecipe, case: Case) -> UpdateRecipe | None:
        wrong = bug.recipe(case)
        return None if wrong is None else with_parameters(recipe, wrong.J, wrong.c)

    return mutate


def bug(id: str, number: int, words: str, mutate: Mutation, by: str = "D9 L1", profile: str = "smoke") -> LearningBug:
    """A mistake in CD-1 on ``rbm_3x3``."""
    return LearningBug(id, number, words, "rbm_3x3", 1, tuple(by.split()), profile, mutate)


def persistent(id: str, number: int, words: str, mutate: Mutation, by: str = "D9 L1") -> LearningBug:
    """A mistake in PCD-1 on ``rbm_3x3``."""
    return LearningBug(id, number, words, "rbm_3x3", 1, tuple(by.split()), "smoke", mutate, "particles")


def chain_from(start: str) -> Mutation:
    """Chains that start elsewhere than at the given particles; means nothing without them."""
    return lambda recipe, case: replace(recipe, start=start) if recipe.start == "particles" else None


def slow(id: str, number: int, words: str, mutate: Mutation, k: int, profile: str) -> LearningBug:
    """A mistake in CD-k on the slowly mixing fixture."""
    return LearningBug(id, number, words, "rbm_slow_3x3", k, ("L2",), profile, mutate)


DECAY = (1e-2, 0.0, 0.0)
LEARNING_BUGS: tuple[LearningBug, ...] = (
    bug("stale_hidden", 83, "p(h|x_(k-1)) in the negative phase", changed(negative="stale")),
    bug("mean_field_negative", 85, "probabilities for x in the negative phase", changed(visible="mean")),
    bug("mean_field_driving", 86, "probabilities of h drive the reconstruction", changed(hidden="mean"), "L2 L1", "ci"),
    bug("deterministic", 87, "no draws at all: mean field in both layers", changed(hidden="mean", visible="mean")),
    bug("threshold_hidden", 0, "h = (p > 0.5) drives the reconstruction", changed(hidden="threshold"), "L2 L1"),
    bug("threshold_visible", 0, "x = (p > 0.5) in the negative phase", changed(visible="threshold"), "L2 L1"),
    bug(
        "hidden_drawn",
        88,
        "hidden units drawn in the negative statistic where probabilities are declared",
        statistic_drawn,
    ),
    bug("both_hidden_drawn", 88, "hidden units drawn in both statistics where probabilities are declared", both_drawn),
    LearningBug(
        "negative_pairs_first",
        84,
        "x_k paired with p(h|x_0)",
        "rbm_3x3",
        2,
        ("D9", "L1"),
        "smoke",
        changed(negative="first"),
    ),
    bug("k_plus_one", 89, "CD-(k+1) for CD-k", steps(1), "L2", "ci"),
    slow("k_plus_one_slow", 89, "CD-2 for CD-1", steps(1), 1, "ci"),
    slow("k_minus_one_slow", 89, "CD-1 for CD-2", steps(-1), 2, "ci"),
    slow("k_minus_one_of_ten", 90, "CD-9 for CD-10", steps(-1), 10, "certify"),
    bug("update_sign", 91, "descent direction", changed(phases=(-1.0, -1.0))),
    bug("visible_bias_block_sign", 91, "sign of the visible-bias block", changed(blocks=(1.0, -1.0, 1.0))),
    bug("hidden_bias_block_sign", 91, "sign of the hidden-bias block", changed(blocks=(1.0, 1.0, -1.0))),
    bug("weight_block_sign", 91, "sign of the weight block", changed(blocks=(-1.0, 1.0, 1.0))),
    bug("weight_block_transposed", 0, "weight block transposed", square(changed(transposed=True))),
    bug("weight_block_twice", 0, "weight block doubled", changed(blocks=(2.0, 1.0, 1.0))),
    bug("hidden_bias_not_learnt", 0, "hidden bias never updated", changed(blocks=(1.0, 1.0, 0.0))),
    bug("visible_bias_not_learnt", 0, "visible bias never updated", changed(blocks=(1.0, 0.0, 1.0))),
    bug("negative_missing", 92, "negative phase missing", changed(phases=(1.0, 0.0))),
    bug("positive_missing", 0, "positive phase missing", changed(phases=(0.0, 1.0))),
    bug("phases_added", 0, "phases added", changed(phases=(1.0, -1.0))),
    bug("sum_for_mean", 93, "sum over the rows for their mean", changed(reduction="sum"), "L5 L1"),
    bug("divisor_plus_one", 93, "divided by n + 1", changed(reduction="plus_one"), "L5 L1"),
    bug("divisor_minus_one", 93, "divided by n - 1", changed(reduction="minus_one"), "L5 L1"),
    bug("weight_decay", 0, "undeclared weight decay 1e-2 on W", changed(decay=DECAY)),
    bug("decay_on_biases", 94, "undeclared decay 1e-2 on weights and biases", changed(decay=(1e-2, 1e-2, 1e-2))),
    bug(
        "shared_uniform",
        0,
        "one uniform shared by all units of a layer",
        changed(hidden="shared", visible="shared"),
        "L2 L1",
    ),
    bug("rows_share_uniforms", 0, "all rows of a batch use the same uniforms", changed(rows="shared"), "L3 L1"),
    bug("first_row_only", 0, "only the first row of a batch is used", changed(rows="first"), "L3 L1"),
    slow("chain_from_model", 95, "negative chain at equilibrium, not from the row", changed(start="model"), 1, "smoke"),
    slow("chain_from_noise", 96, "negative chain starts at a uniform state", changed(start="uniform"), 1, "smoke"),
    persistent("chain_from_rows", 95, "CD where PCD is declared: chains start at the rows", chain_from("data"), "L2"),
    persistent(
        "particles_never_move", 95, "negative statistic of the particles before their steps", unmoved, "contract"
    ),
    bug("transposed_down", 0, "W transposed in the reconstruction", square(transposed_down), "L2", "ci"),
    bug("hidden_bias_omitted", 0, "hidden bias omitted", believed("hidden_bias_omitted")),
    bug(
        "visible_bias_omitted",
        0,
        "visible bias omitted in the reconstruction",
        believed("visible_bias_omitted"),
        "L2",
        "ci",
    ),
    bug("logit_doubled", 5, "sigmoid(2z) for sigmoid(z)", believed("logit_doubled")),
    bug("spins_for_bits", 0, "units taken as -1/+1 in the conditionals", believed("spins_for_bits")),
    LearningBug(
        "beta_twice", 7, "beta applied twice", "rbm_3x3_cold", 1, ("D9", "L2"), "smoke", believed("beta_twice")
    ),
    LearningBug(
        "beta_forgotten", 0, "beta not applied", "rbm_3x3_cold", 1, ("D9", "L2"), "smoke", believed("beta_forgotten")
    ),
)


def learning_bug(id: str) -> LearningBug:
    """The bug of that id.

    >>> learning_bug("stale_hidden").number
    83
    """
    return next(b for b in LEARNING_BUGS if b.id == id)
