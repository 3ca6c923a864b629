"""Conformance of real libraries, measured with ``ebm_ref.oracle``: ``python -m validation.peers``.

One file a peer, each with ``rows(seed) -> list[Row]``; ``table`` holds the record and writes RESULTS.md and
results.json.  A peer that isn't installed becomes a "not run" row:
pip install torch==2.13.0 "jax<0.11" scikit-learn thrml blackjax torchebm
"""
