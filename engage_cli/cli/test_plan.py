"""engage test-plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import columns_of, parse_pairs
from engage_cli.cli.places import FinishedRun, Output
from engage_cli.cli.render.output import print_json
from engage_cli.config.details import DetailOptions
from engage_cli.config.planning import TestPlanConfig
from engage_cli.config.settings import setting

VARIANTS = "Variants"


@dataclass(frozen=True, kw_only=True)
class VariantOptions(DetailOptions):
    """Variants of one post, and what was counted of them."""

    images: list[Path] | None = setting(
        None, "Covers: JPEG, PNG, WebP or GIF. Give none if the run was trained without covers.", argument="[IMAGE]..."
    )
    table: Path | None = setting(
        None, "A table with a row for each variant, instead of images and titles.", panel=VARIANTS, show_default=False
    )
    images_dir: Path | None = setting(None, "With --table: the folder of its images.", panel=VARIANTS, show_default=False)
    mapping: list[str] | None = setting(
        None, "With --table: column mapping, for example title=headline,image=file.", flags=("--map",), panel=VARIANTS
    )
    counts: Path | None = setting(
        None,
        "The counts so far: a table with the columns variant (number, title or image), impressions and clicks.",
        show_default=False,
    )


@generated(without=("options.after",))
def test_plan(options: VariantOptions, config: TestPlanConfig, place: FinishedRun, output: Output) -> None:
    """Plan a test of variants: which are worth testing, how many impressions decide, and who is ahead.

    engage test-plan a.jpg b.jpg --title "I built a house" --title "A house in a day"

    engage test-plan a.jpg b.jpg --title "I built a house" --counts results.csv
    """
    from engage_cli.cli.render.test_plan import show_plan
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.test_plan import Asked, plan_variants

    pairs = [pair for text in options.mapping or [] for pair in text.split(",")]
    found = plan_variants(
        Asked(
            images=options.images or [],
            titles=options.title or [],
            tags=options.tags,
            description=options.description,
            posted_at=options.posted_at,
            columns=columns_of(options),
            table=options.table,
            images_dir=options.images_dir,
            mapping=parse_pairs(pairs, "--map title=headline,image=file"),
        ),
        config,
        counts=options.counts,
        run=place.run,
        runs_dir=place.runs,
        reporter=make_reporter(),
    )
    if output.json:
        print_json(found.to_json())
    else:
        show_plan(found)
