"""What both twins offer to Python, with the twin's own part handed in."""
