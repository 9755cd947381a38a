"""Answers: how often a question about a video is answered rightly, by choice or in the model's own words."""

from __future__ import annotations

from longshot.metrics._choices import LETTERS, legacy_choice, read_choice

__all__ = ["LETTERS", "legacy_choice", "read_choice"]
