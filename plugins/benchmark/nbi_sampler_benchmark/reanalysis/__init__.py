"""Runs that start from former results: those of another seed, and those of another sampler."""

from __future__ import annotations

__all__: list[str] = []
