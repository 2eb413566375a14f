"""Tables of name -> "module:attribute". Listing names imports nothing; load() imports one entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from engage_cli.errors import WrongCallError


class Registry(Mapping[str, str]):
    """A table of one family of things (encoders, fusions, targets, ...) that are chosen by name."""

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, place: str) -> None:
        """Add an entry, "module:attribute", as a package of your own does; raise ValueError for a name that is taken."""
        module, colon, attribute = place.partition(":")
        if not (module and colon and attribute):
            raise ValueError(f"{self.kind} '{name}': '{place}' is not of the form module:attribute")
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is there already: {self._entries[name]}")
        self._entries[name] = place

    def check(self, name: str) -> str:
        """Return `name`; raise WrongCallError, with the names that exist, where the table lacks it."""
        if name not in self._entries:
            raise WrongCallError(f"unknown {self.kind} '{name}'; give one of: {', '.join(self._entries)}")
        return name

    def load(self, name: str) -> Any:
        """Import the entry called `name`."""
        module, _, attribute = self._entries[self.check(name)].partition(":")
        return getattr(import_module(module), attribute)
