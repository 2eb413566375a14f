"""Runs travel: one archive of a finished run, and its way into another folder."""
