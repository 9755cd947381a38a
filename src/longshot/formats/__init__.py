"""Shelf: Track <-> text. One file each."""
