"""Scalar mathematics only.  The same functions run in compiled loops and, as plain Python, in tests."""
