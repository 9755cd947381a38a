"""Work: from a video to words on its time axis, one file per verb."""
