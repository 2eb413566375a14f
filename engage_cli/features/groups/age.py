"""How old a post's counters are: known of training posts, and chosen of a post to come (`predict --after`)."""

from __future__ import annotations

from engage_cli.data.schema import LOG_AGE
from engage_cli.features.groups.columns import Numbers


class Age(Numbers):
    group = "age"
    names = (LOG_AGE,)
