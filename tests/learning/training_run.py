"""A run of ``fit`` that is killed and restarted by ``test_resumption.py``: python training_run.py CHECKPOINT RESULT."""

import sys

import numpy as np

import ebm_ref as er

CHOICES = {
    "cd": (er.cd(2), er.adam(0.02, weight_decay=1e-3)),
    "pcd": (er.pcd(1, n_chains=20), er.sgd(0.05, momentum=0.8)),
}


def train(choice: str, checkpoint, n_epochs: int = 60):
    """A few hundred updates with a checkpoint after every one."""
    estimator, optimizer = CHOICES[choice]
    data = er.datasets.bars_and_stripes(3)
    model = er.RBM.random(9, 5, 0.1, seed=2)
    return er.fit(
        model, data, estimator, optimizer, n_epochs, 4, seed=11,
        validation=data[::2], checkpoint=checkpoint, checkpoint_seconds=0.0, progress=False,
    )  # fmt: skip


def everything(result) -> dict[str, np.ndarray]:
    """Every number of a result."""
    numbers = {name: getattr(result.model, name) for name in ("W", "a", "b")}
    return {**numbers, "chains": result.chains, **{f"history.{k}": v for k, v in result.history.items()}}


if __name__ == "__main__":
    np.savez(sys.argv[3], **everything(train(sys.argv[1], sys.argv[2])))
