"""Every random number of a run, drawn once for both twins."""
