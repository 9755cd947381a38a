"""Shelf: finders, each one way to find the moments of a video that a sentence means."""
