"""Shelf: benchmarks, each read from its official annotation file. One file each; see `items.BenchmarkFile`."""
