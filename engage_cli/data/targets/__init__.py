"""Targets: what is predicted of a post, fitted on training rows."""
