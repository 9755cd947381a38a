"""Moments: how well windows of a video fit a sentence."""

from __future__ import annotations

from longshot.metrics._windows import NoWindows, read_windows

__all__ = ["NoWindows", "read_windows"]
