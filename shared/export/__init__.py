"""Generators that leave their run: the formats, and the folder for the Hub."""
