"""Work: one verb over many videos."""
