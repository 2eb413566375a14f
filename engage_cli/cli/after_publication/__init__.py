"""Commands for after publication: outcomes are scored, and runs travel."""
