"""One network twice on 8x8 digits: as a classifier, and as a classifier whose logits are also energies (JEM).

Compares accuracy, calibration, and how well each tells strange images from digits; writes jem.png, images of each class
drawn from p(x|y).  Usage: python examples/jem_digits.py [epochs]
"""

import sys
from pathlib import Path

import numpy as np

import ebm_ref as er
from ebm_ref import plots

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 60
digits, noise = er.datasets.digits(), 0.3
x, labels = 2 * digits.images.reshape(-1, 64) - 1, digits.labels
order = np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(x)))[0])
train, test = order[:1297], order[1297:]
pixels = np.argsort(er.Stream(0, "user").uniform(0, (len(test), 64)), axis=1)
strange = {
    "inverted digits": -x[test],
    "shuffled pixels": np.take_along_axis(x[test], pixels, axis=1),
    "bars and stripes": 2 * er.datasets.bars_and_stripes(8) - 1,
}

network = er.nets.mlp((64, 128, 128, 10), dtype="float32")
chains = er.langevin_cd(lambda m: er.ula(m, 0.004), 20, buffer_size=1000, base="uniform", data_noise=noise)
for name, estimator in (("classifier", er.cross_entropy()), ("JEM", er.jem(chains, weight=0.03))):
    rate = er.CosineDecay(2e-3, epochs * 13)
    model = er.JointEnergy(network, base=1.0)
    fit = er.fit(model, x[train], estimator, er.averaged(er.adam(rate), 0.99), epochs, 100, 0, labels=labels[train])
    model = fit.averaged
    p = model.class_probabilities(x[test])
    found = er.calibration(p, labels[test])
    print(f"{name:10} {100 * found.accuracy:.1f} % of the test digits right, calibration error {found.error:.3f}")
    for what, images in strange.items():
        by_density = er.auroc(-model.energy(x[test]), -model.energy(images))
        by_class = er.auroc(p.max(axis=1), model.class_probabilities(images).max(axis=1))
        print(f"    digits against {what:16}  AUROC by log p(x) {by_density:.3f}, by max p(y|x) {by_class:.3f}")

law = er.given_classes(model, np.repeat(np.arange(10), 6))
start = 2 * er.Stream(1, "user").uniform(0, (60, 64)) - 1
rows = er.sample(er.ula(law, 0.004), start, 1000, seed=1, thin=1000).visible[:, -1]
pictures = np.clip((rows + noise**2 * law.score(rows) + 1) / 2, 0, 1)  # without the noise: E[x | x + noise]
Path("jem.png").write_bytes(plots.to_png_bytes(plots.image_grid(pictures, (8, 8), columns=12)))
print("wrote jem.png")
