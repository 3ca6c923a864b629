"""Estimates where exact answers are out of reach, and diagnostics."""
