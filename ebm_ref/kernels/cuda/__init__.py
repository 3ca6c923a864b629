"""CUDA twins of the compiled loops.  They share the scalar functions (Philox, sigmoid, Bernoulli) with the CPU loops.

Nothing here is imported before ``device="cuda"`` is asked for.
"""
