"""Disks that fail, and power that does."""
