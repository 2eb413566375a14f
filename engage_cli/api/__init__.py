"""The Python API. Its public names are those of `engage_cli`."""
