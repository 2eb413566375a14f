"""What the commands that ask about one post take of it, beside its covers."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.config.settings import setting

POST = "The post"


@dataclass(frozen=True, kw_only=True)
class DetailOptions:
    title: list[str] | None = setting(None, "The title. Give several to compare every title with every image.", panel=POST)
    tags: str = setting("", "Tags or category, written as in the training posts.", panel=POST, show_default=False)
    description: str = setting("", "The description.", panel=POST, show_default=False)
    posted_at: str = setting("", "Publication time in UTC, for example 2026-11-24T18:30.", panel=POST, show_default=False)
    after: str = setting(
        "",
        "Predict the counters this long after publication, for example 30d or 12h, if the training posts say "
        "when their counters were read. Default: their median age.",
        panel=POST,
        show_default=False,
    )
    columns: list[str] | None = setting(
        None,
        "Value of a further column that the run was trained on. May be given several times.",
        flags=("--column",),
        former_flags=("--with",),
        metavar="NAME=VALUE",
        panel=POST,
    )

    @property
    def given(self) -> dict[str, object]:
        """Return the options by the names that people know, with what was given for them."""
        return {
            "--title": self.title,
            "--tags": self.tags,
            "--description": self.description,
            "--posted-at": self.posted_at,
            "--after": self.after,
            "--column": self.columns,
        }
