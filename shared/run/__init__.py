"""What a run leaves behind, and how it is taken up again."""
