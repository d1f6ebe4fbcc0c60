"""The command lines of both twins."""
