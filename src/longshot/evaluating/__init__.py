"""Work: predict, judge, score, report and compare, one file per verb; each can be done again by itself."""
