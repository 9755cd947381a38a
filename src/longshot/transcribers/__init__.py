"""Shelf: ways to learn what is said. One file each; see `contracts.Transcriber`."""
