"""A sampler in another process, as ``ebm-ref verify --program`` talks to it: one JSON object a line.

    ebm-ref verify --program 'python examples/sampler_program.py' --case rbm_3x3

The model comes with the first line, so one program serves every RBM.  Rewrite it in any language.
"""

import json
import math
import random
import sys


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def layer(bias, weights, other, rng):
    """Draw each unit of a layer given the other layer; weights[i] is the row of unit i."""
    return [
        int(rng.random() < sigmoid(bias_i + sum(w for w, o in zip(row, other, strict=True) if o)))
        for bias_i, row in zip(bias, weights, strict=True)
    ]


def sweep(model, row, rng):
    """Block Gibbs: h' ~ p(.|x), then x' ~ p(.|h')."""
    W, a, b = model["W"], model["a"], model["b"]
    h = layer(b, list(zip(*W, strict=True)), row[: len(a)], rng)
    return layer(a, W, h, rng) + h


def main():
    model = None
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request["id"]}
        if request["op"] == "hello":
            model = request["model"]
            if model["type"] != "rbm" or request["kernel"] != "block_gibbs" or request["clamp"]:
                answer["unsupported"] = "only block Gibbs on an RBM without clamped units"
        elif request["op"] == "step":
            rng = random.Random(request["seed"])  # the seed decides every draw
            answer["states"] = [sweep(model, row, rng) for row in request["states"]]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
