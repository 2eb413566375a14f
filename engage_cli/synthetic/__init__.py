"""Synthetic posts whose engagement follows a known law."""
