"""Tiny checkpoints of the true architectures, with random weights, made on the spot: one file per family."""
