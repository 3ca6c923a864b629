"""Five samplers, one GRBM, one budget: a scaled Table 1 of Liao, Kornblith, Ren, Fleet & Hinton 2022.

MNIST and Fashion-MNIST, 14 x 14 and 28 x 28.  Everything but the sampler is the same in all runs of a size: model,
start, data, order of the batches, updates, sampler steps an update, optimiser.  See FIVE_SAMPLERS.md for the outcome.

Usage: python -m validation.five_samplers [--data mnist --size 14 --sampler gibbs ...] [--pilot | --report]
"""
