"""Shelf: judges, each two pure functions: what to ask a model about a prediction, and how to read its reply."""
