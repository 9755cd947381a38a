"""Shelf: ways to read the text on screen. One file each; see `contracts.TextReader`."""
