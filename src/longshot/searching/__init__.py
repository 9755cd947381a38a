"""Vectors of videos, and finding by them: one file per verb."""
