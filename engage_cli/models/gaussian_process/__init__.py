"""A Gaussian process over posts."""
