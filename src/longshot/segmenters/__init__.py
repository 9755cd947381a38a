"""Shelf: ways to divide a video into spans. One file each; see `contracts.Segmenter`."""
