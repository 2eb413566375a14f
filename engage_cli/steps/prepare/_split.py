"""The posts divided into parts, near-duplicates together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.general import PARTS
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.cells.texts import clean_text
from engage_cli.data.dataset import REPORT_FILE
from engage_cli.data.dataset_meta import PartCounts, SplitMeta
from engage_cli.data.duplicates import find_experiments, find_groups
from engage_cli.data.schema import EXPERIMENT, GIVEN_GROUP, GIVEN_PART
from engage_cli.data.split_names import SPLITS
from engage_cli.data.splits import UNUSED, SplitRequest
from engage_cli.data.tables.reading import read_frame
from engage_cli.errors import EngageError
from engage_cli.steps.prepare._draft import Draft

MOST_UNDATED = 0.1  # of the posts, for the split by time to be the default
MANY_DUPLICATES = 0.05  # of the posts in one group


def split_posts(draft: Draft, config: PrepareConfig, fractions: Sequence[float]) -> SplitMeta:
    """Add the columns group and split; return notes about them."""
    posts = draft.posts
    groups = find_groups(posts, draft.perceptual)
    posts["group"] = groups if config.dedupe else find_experiments(posts)  # no experiment ever stands in two parts
    method = config.split
    if method == "auto" and EXPERIMENT in posts and (posts[EXPERIMENT] != "").any():
        method = "random"  # within an experiment the day is the same for all, and stories are whole
    elif method == "auto":
        dated = posts["posted_at"].notna().mean() if "posted_at" in posts else 0.0
        several = "posted_at" in posts and posts["posted_at"].nunique() >= len(PARTS)
        method = "time" if dated >= 1 - MOST_UNDATED and several else "random"
        if 0 < dated < 1 - MOST_UNDATED:
            draft.warnings.append(f"only {dated:.0%} of the posts have a date, so the split is random, not by time")
    given = _given_parts(posts, config, draft) if method == "file" else None
    posts["split"] = SPLITS.load(method)(posts, SplitRequest(fractions=fractions, seed=config.seed, given=given))
    draft.posts = posts.drop(columns=[GIVEN_PART, GIVEN_GROUP], errors="ignore")
    sizes = np.bincount(pd.factorize(groups)[0])
    num_groups, num_rows = int((sizes > 1).sum()), int(sizes[sizes > 1].sum())
    text = f"{num_rows:,} posts share nearly the same image or the same title with another ({num_groups:,} groups)"
    if EXPERIMENT in posts:
        text = text.replace("share nearly", "are of one experiment, or share nearly")
    if not num_groups:
        text = "no post shares its image or its title with another"
    elif config.dedupe:
        text += "; no group is in two parts"
        if sizes.max() > MANY_DUPLICATES * len(posts):
            draft.warnings.append(
                f"{sizes.max():,} posts form one group of near-duplicates and go into one part; see {REPORT_FILE}"
            )
    else:
        parts = posts.groupby(groups)["split"].nunique()
        text += f"; {int((parts > 1).sum()):,} groups are in several parts"
        draft.marks.append("near-duplicates were not kept in one part (--no-dedupe): test figures are optimistic")
    return SplitMeta(
        method=method,
        dedupe=config.dedupe,
        text=_describe_split(method, config),
        rows=PartCounts(**{part: int((posts["split"] == part).sum()) for part in PARTS}),
        unused=int((posts["split"] == UNUSED).sum()),
        groups_of_duplicates=num_groups,
        rows_in_groups=num_rows,
        duplicates_text=text,
    )


def _describe_split(method: str, config: PrepareConfig) -> str:
    known = {
        "random": f"At random, {config.fractions}, seed {config.seed}.",
        "time": f"By time, {config.fractions}: the oldest posts train, the youngest test.",
        "author": f"By author, {config.fractions}, seed {config.seed}: no author is in two parts.",
        "file": f"As given by {config.split_from}.",
    }
    return known.get(method, f"By '{method}', {config.fractions}, seed {config.seed}.")


def _given_parts(posts: pd.DataFrame, config: PrepareConfig, draft: Draft) -> np.ndarray:
    """Return the part of each post as a column of the table or a file of ids has it."""
    if not Path(config.split_from).is_file():
        return posts[GIVEN_PART].to_numpy(object)
    path = Path(config.split_from)
    table = read_frame(path).frame
    if "id" not in table or "split" not in table:
        raise EngageError(f"{path} needs the columns 'id' and 'split'; it has: {', '.join(table.columns)}")
    ids = clean_text(table["id"])
    if ids.duplicated().any():
        raise EngageError(f"{path}: the id '{ids[ids.duplicated()].iloc[0]}' occurs twice; keep one row for each post")
    given = pd.Series(clean_text(table["split"]).to_numpy(), index=pd.Index(ids))
    if unknown := int((~given.index.isin(posts["id"])).sum()):
        draft.warnings.append(f"{path.name}: {unknown:,} of {len(given):,} ids belong to no post")
    parts = posts["id"].map(given)
    if parts.isna().all():
        raise EngageError(
            f"{path}: none of its ids belongs to a post ('{ids.iloc[0]}' there, '{posts['id'].iloc[0]}' here)"
        )
    if parts.isna().any():
        draft.warnings.append(
            f"{path.name}: {int(parts.isna().sum()):,} posts are not named there, and are left out of all parts"
        )
    return parts.fillna("").to_numpy(object)
