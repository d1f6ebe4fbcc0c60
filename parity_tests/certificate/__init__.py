"""What a comparison is, what it may find, and how it is run."""
