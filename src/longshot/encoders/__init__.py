"""Models that put text and clips into one space; `longshot list encoders` names them."""
