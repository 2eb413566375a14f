"""Metrics, their bootstrap intervals, and paired comparisons."""
