"""One question of one client: variants of a post, whether the reason is wanted too, and whether it is logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engage_cli.steps.serve._messages import JobMessage

NO_IMAGE = ""  # the name of an image that is not there


@dataclass(frozen=True, kw_only=True)
class Job:
    """Every image with every title is a variant, images first; without an image every title is one."""

    names: tuple[str, ...]  # of the images, as the client calls them: words in an answer, never a path
    images: tuple[bytes, ...]
    pixels: int = 0  # of all images together
    titles: tuple[str, ...] = ("",)
    tags: str = ""
    description: str = ""
    posted_at: str = ""
    columns: Mapping[str, str | float] = field(default_factory=dict)
    explain: bool = False
    log: bool = False  # whether the answer goes into the ledger, too

    def to_message(self) -> JobMessage:
        """Everything but the images and what only the line needs."""
        return {
            "names": list(self.names),
            "titles": list(self.titles),
            "tags": self.tags,
            "description": self.description,
            "posted_at": self.posted_at,
            "columns": dict(self.columns),
            "explain": self.explain,
            "log": self.log,
        }

    @staticmethod
    def from_message(message: JobMessage, images: list[bytes]) -> Job:
        return Job(
            names=tuple(message["names"]),
            images=tuple(images),
            titles=tuple(message["titles"]),
            tags=message["tags"],
            description=message["description"],
            posted_at=message["posted_at"],
            columns=message["columns"],
            explain=message["explain"],
            log=message["log"],
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(name, title) for name in self.names or (NO_IMAGE,) for title in self.titles]

    @property
    def covers(self) -> tuple[bytes | None, ...]:
        """One for each name of `pairs`."""
        return self.images or (None,)
