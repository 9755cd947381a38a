"""Shelf: ways to put a scene into words. One file each; see `contracts.Describer`."""
