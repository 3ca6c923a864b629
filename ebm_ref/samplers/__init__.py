"""Samplers: ``init``, ``draw``, ``step`` (pure readable NumPy) and ``advance`` (compiled, the same numbers)."""
