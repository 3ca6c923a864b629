"""Train an RBM on 8x8 digits by CD-1 and by the exact gradient, and draw what they learn.

Writes digits.png: exact log-likelihood curves, and digits.samples.png: samples after 2,000 Gibbs sweeps.
Usage: python examples/train_digits.py [epochs]
"""

import sys
from pathlib import Path

import numpy as np

import ebm_ref as er
from ebm_ref import plots

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 60
data = er.datasets.digits().binary
means = (data.sum(axis=0) + 1) / (len(data) + 2)
weights = er.RBM.random(64, 14, scale=0.05, seed=0).W
start = er.RBM(weights, np.log(means / (1 - means)), np.zeros(14))

fits = {}
for name, estimator in (("exact gradient", er.exact_gradient()), ("CD-1", er.cd(1))):
    rate = er.LinearDecay(0.2, epochs * 18)
    fits[name] = er.fit(start, data, estimator, er.sgd(rate, momentum=0.5), epochs, batch_size=100, seed=0)
    print(f"{name:15} {fits[name].history['log_likelihood'][-1]:.4f} nats per row, exactly")

curves = {name: (fit.history["update"], fit.history["log_likelihood"]) for name, fit in fits.items()}
Path("digits.png").write_bytes(plots.to_png_bytes(plots.learning_curves(curves, title="Digits, exact log-likelihood")))

model = fits["exact gradient"].model
chain = er.sample(er.block_gibbs(model), data[:60], n_steps=2000, seed=1, thin=2000)
pictures = model.visible_probabilities(chain.hidden[:, -1])
Path("digits.samples.png").write_bytes(plots.to_png_bytes(plots.image_grid(pictures, (8, 8), columns=15)))
print("wrote digits.png and digits.samples.png")
