"""Cells of raw tables: numbers, dates, tags and texts, read in one style for each column."""
