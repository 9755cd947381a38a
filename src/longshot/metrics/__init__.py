"""Numbers from rows: pure functions that know no model, no file and no network."""
