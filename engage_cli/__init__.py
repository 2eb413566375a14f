"""engage: how much engagement a post will get, before it is published."""

__version__ = "0.1.0"
