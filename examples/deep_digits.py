"""Train a deep energy on 8x8 digits, draw digits from noise, and complete digits of which the left half is known.

E(x) = x.f(x)/2 + |x|^2/2 with a small network f, by denoising score matching at one noise level: exp(-E/sigma^2)
is the law of digits with noise of deviation sigma.  Langevin steps at temperature 1 draw from it, the last step takes
the noise away.  Writes deep_digits.png and deep_completions.png.
Usage: python examples/deep_digits.py [epochs]
"""

import sys
from pathlib import Path

import numpy as np

import ebm_ref as er
from ebm_ref import plots

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 120
digits = er.datasets.digits().images.reshape(-1, 64) * 2 - 1  # from [0, 1] to [-1, 1]
train, test = digits[:1700], digits[1700:]

network = er.nets.mlp((64, 256, 256, 64), "silu", seed=0, dtype="float32")
start = er.NetworkEnergy(network, "inner", scale=0.5, base=1.0)
estimator = er.annealed_score_matching([0.5], k=60, centre=train.mean(), spread=train.std())
rate = er.CosineDecay(2e-3, epochs * 17)
optimizer = er.averaged(er.clipped(er.adam(rate), max_norm=10.0), decay=0.99)
fit = er.fit(start, train, estimator, optimizer, epochs, batch_size=100, seed=0)
for epoch in np.unique([1, epochs // 4, epochs // 2, epochs]):
    print(f"epoch {epoch:4}: log of the denoising loss {np.log(fit.history['denoising_loss'][epoch]):.2f}")

drawn = estimator.sample(fit.averaged, 60, seed=1)
known = np.tile(np.arange(8) < 4, 8)  # the left half of every row of pixels
observed = np.repeat(test[:12], 4, axis=0)
completed = estimator.complete(fit.averaged, observed, known, seed=2).reshape(12, 4, 64)
masked = np.where(known, test[:12], -0.4)
lines = np.concatenate([test[:12, None], masked[:, None], completed], axis=1).reshape(-1, 64)

for name, rows, columns in (("deep_digits.png", drawn, 15), ("deep_completions.png", lines, 12)):
    figure = plots.image_grid(np.clip((rows + 1) / 2, 0, 1), (8, 8), columns=columns)
    Path(name).write_bytes(plots.to_png_bytes(figure))
    print("wrote", name)
