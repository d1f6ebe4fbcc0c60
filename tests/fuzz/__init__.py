"""Inputs that are nearly right, for each reader of files from outside."""
