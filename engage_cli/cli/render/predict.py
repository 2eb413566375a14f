"""What `engage predict` says to people."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engage_cli.cli.render.output import print_line, print_table
from engage_cli.config.general import CLASS_NAMES, LEAKY

if TYPE_CHECKING:
    import numpy as np

    from engage_cli.explain.cover_facts import ToldFact
    from engage_cli.models.predictions import Reasons
    from engage_cli.steps.predict import Answer
    from engage_cli.steps.predict.explain import Explanation
    from engage_cli.steps.predict.table import TableSummary

SMALLEST_SHOWN = 0.01  # of the largest contribution of a group
SMALLEST_EFFECT = 0.06  # of the largest region's
MANY_TIMES = 10  # from here on an effect on a count is written as so many times, not in percent
MOST_FEATURES, LONGEST_NAME, BAR = 8, 44, 10
MOST_RANKED = 12  # variants that are shown; --json has every one
LONGEST_TITLE = 32
FAR_WORDS = {"image": "cover", "context": "description", "text": "text"}
SHADES = " ░▒▓█"


def show_answer(answer: Answer) -> None:
    from engage_cli.evaluation.evidence import warnings_of

    if answer.ranking is None:
        _show_one(answer)
    else:
        _show_variants(answer)
    for warning in warnings_of(answer.run):
        print_line(f"  warning: {warning}")
    for mark in answer.run.marks:
        print_line(f"  mark: {mark}")


def _show_one(answer: Answer) -> None:
    said, target, title = answer.forecast, answer.run.target, answer.titles[0]
    print_line("  ".join(part for part in (answer.images[0], f"“{title}”" if title else "") if part))
    if far := [FAR_WORDS.get(block, block) for block, is_far in said.far_in.items() if is_far[0]]:
        blocks = f"{' and its '.join(far)} {'is' if len(far) == 1 else 'are'}"
        print_line(f"  A GUESS: its {blocks} unlike the training posts, so the intervals were widened")
    if said.value is not None:
        print_line(f"  {target.name}: {'about ' if said.count is not None else ''}{_amount(answer, said.value[0])}")
        for name, (low, high) in said.intervals.items():
            words = f"{_amount(answer, low[0])} to {_amount(answer, high[0])}"
            ranks = target.percentile_range(float(low[0]), float(high[0]))
            print_line(
                f"  {name} % interval: {words}  (better than {ranks[0]:.0f} to {ranks[1]:.0f} % of the training posts)"
            )
    rank = float(said.percentile[0])
    print_line(f"  better than {rank:.0f} % of the {target.num_rows:,} posts the model was trained on")
    print_line(f"  level: {CLASS_NAMES[int(said.classes[0])]}; probability of each level:")
    for name, share in zip(CLASS_NAMES, said.probabilities[0], strict=True):
        print_line(f"    {name:<10}{share:>6.1%}  {'█' * round(30 * share)}".rstrip())
    if answer.explanation is not None:
        _show_explanation(answer, answer.explanation)


def _amount(answer: Answer, value: float) -> str:
    """A value as a count where it is the log of one."""
    counts = answer.forecast.count is not None
    return _rounded(max(0.0, math.expm1(value))) if counts else f"{value:.4g}"


def _rounded(count: float) -> str:
    """Two significant digits: more would sound surer than any model is."""
    return f"{float(f'{count:.2g}'):,.0f}"


def _show_variants(answer: Answer) -> None:
    ranking, said = answer.ranking, answer.forecast
    assert ranking is not None
    columns: dict[str, list[str]] = {"": [f"{rank}" for rank in range(1, len(ranking.order) + 1)]}
    if len(set(answer.images)) > 1:
        columns["image"] = [_shorten(_file_name(answer.images[place])) for place in ranking.order]
    if len(set(answer.titles)) > 1:
        columns["title"] = [_shorten(answer.titles[place]) for place in ranking.order]
    if said.value is not None:
        columns[answer.run.target.name] = [_short(answer, said.value[place]) for place in ranking.order]
        if "80" in said.intervals:
            low, high = said.intervals["80"]
            columns["80 % interval"] = [f"{_short(answer, low[n])} – {_short(answer, high[n])}" for n in ranking.order]
    else:
        columns["level"] = [CLASS_NAMES[int(said.classes[place])] for place in ranking.order]
        columns["better than"] = [f"{said.percentile[place]:.0f} %" for place in ranking.order]
    columns["best"] = [
        f"{chance:.0%}{' ?' if said.is_far[place] else ''}"
        for place, chance in zip(ranking.order, ranking.best, strict=True)
    ]
    rows = list(zip(*columns.values(), strict=True))
    title = f"{len(rows)} variants by {answer.run.target.name}" + (", the first" if len(rows) > MOST_RANKED else "")
    print_table(title, list(columns), rows[:MOST_RANKED])
    first, second = (_name(answer, place) for place in ranking.order[:2])
    beats = 100 * ranking.beats[0, 1]
    if ranking.is_close:
        print_line(f"Too close to call: {first} beats {second} with a probability of {beats:.0f} %.")
    else:
        print_line(f"Ahead: {first}. It beats {second} with a probability of {beats:.0f} %.")
    if (gain := ranking.gain) is not None:
        gains = "may lose as well as gain:" if ranking.is_close else "gains"
        print_line(
            f"Choosing {first} {gains} {gain.percent:+.0f} % over choosing one of them at random "
            f"(80 % interval: {gain.low:+.0f} to {gain.high:+.0f} %)."
        )
    if said.intervals:
        print_line(
            "80 % interval: 80 % of such posts end up within it. best: the probability that this variant is the best."
        )
    else:
        print_line(
            "better than: the share of training posts that got less. best: the probability that this variant is the best."
        )
    if said.is_far.any():
        print_line("?: unlike the training posts; treat it as a guess.")


def _name(answer: Answer, place: int) -> str:
    """Name a variant by what it has and others have not."""
    image, title = _shorten(_file_name(answer.images[place])), f"“{_shorten(answer.titles[place])}”"
    if len(set(answer.titles)) == 1:
        return image
    return title if len(set(answer.images)) == 1 else f"{image} with {title}"


def _short(answer: Answer, value: float) -> str:
    """The same in few letters."""
    from engage_cli.io.written_numbers import short_number

    return short_number(round(max(0.0, math.expm1(value)))) if answer.forecast.count is not None else f"{value:.3g}"


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TITLE else f"{text[: LONGEST_TITLE - 1]}…"


def _show_explanation(answer: Answer, why: Explanation) -> None:
    from engage_cli.steps.predict.explain import NOT_A_CAUSE

    has_counts = answer.forecast.count is not None
    print_line(f"\n  Why ({NOT_A_CAUSE})")

    def effect(change: float) -> str:
        if not has_counts:
            return f"{change:+.3g}"
        if abs(change) >= math.log(MANY_TIMES):
            return f"{'×' if change > 0 else '÷'}{math.exp(abs(change)):,.0f}"
        return f"{100 * math.expm1(change):+.0f} %"

    largest = max((abs(part.change) for part in why.parts), default=0.0) or 1.0
    largest = max([largest, *(abs(change) for _, change in why.words)])
    if why.parts:
        print_line(f"  effect of each part on {'the count' if has_counts else why.unit}")
        for name, part in zip(_aligned([part.part for part in why.parts]), why.parts, strict=True):
            without = f"without it {_amount(answer, part.without) if has_counts else f'{part.without:.4g}'}"
            print_line(f"    {name}{effect(part.change):>9}  {_bar(part.change / largest)}  {without}")
    if why.words:
        print_line("  effect of each word of the title")
        words = sorted(why.words, key=lambda one: -abs(one[1]))[:MOST_FEATURES]
        for name, (_, change) in zip(_aligned([word for word, _ in words]), words, strict=True):
            print_line(f"    {name}{effect(change):>9}  {_bar(change / largest)}".rstrip())
    if why.regions is not None and why.windows is not None:
        _show_regions(why.regions, why.windows, effect)
    if why.overlay is not None:
        print_line(f"  image: {why.overlay}")
    if why.reasons is not None:
        _show_reasons(why.reasons)
    if why.covers:
        _show_covers(why.covers, effect)
    if why.neighbours:
        print_line(f"  most similar training posts, and their {answer.run.target.name}")
        for one in why.neighbours:
            earned = _rounded(one.count) if one.count is not None else f"{one.earned:.4g}"
            print_line(f"    {earned:>12}  {one.percentile:>3.0f} %   {_shorten(one.title) or one.image}")


def _show_covers(facts: Sequence[ToldFact], effect: Callable[[float], str]) -> None:
    """Say what is true of the cover, first what sets the posts that did best apart."""
    print_line("  the cover beside those of the training posts (what goes together with success, not what makes it)")
    for one in facts:
        unclear = "" if one.is_clear else "; no clear difference"
        top, everyone = f"{100 * one.share_of_top:.0f} %", f"{100 * one.share_of_all:.0f} %"
        print_line(f"    {one.fact}: {top} of the top tenth, {everyone} of all{unclear}")
        if one.effect is not None:
            low, high = effect(one.effect.low), effect(one.effect.high)
            print_line(f"      in experiments: {effect(one.effect.value)} with it (95 %: {low} to {high})")


def _show_regions(regions: np.ndarray, windows: np.ndarray, effect: Callable[[float], str]) -> None:
    """Show the grid in shades: the darker, the more the prediction falls where that is covered; a minus where it rises.

    What the two strongest regions do stands beside them: the change with a window over them covered.
    """
    from engage_cli.explain.occlusion import effect_at, name_of

    if not regions.any():
        print_line("  no region of the cover matters by itself")
        return
    largest = float(abs(regions).max()) or 1.0
    print_line("  effect of each region of the cover (darker: raises it more; −: lowers it)")
    notes: dict[int, str] = {}
    for place, sign in ((int(regions.argmax()), 1), (int(regions.argmin()), -1)):
        row, column = divmod(place, regions.shape[1])
        if sign * regions[row, column] > SMALLEST_EFFECT * largest:
            notes[row] = f"{notes.get(row, '')}  {name_of(row, column)} {effect(effect_at(windows, row, column))}"
    for number, cells in enumerate(regions):
        shades = "".join(
            "−−" if cell < -largest / len(SHADES) else SHADES[round(max(0.0, cell) / largest * (len(SHADES) - 1))] * 2
            for cell in cells
        )
        print_line(f"    │{shades}│{notes.get(number, '')}".rstrip())


def _show_reasons(reasons: Reasons) -> None:
    """Show each group's and the first features' contributions as bars to both sides of the mean prediction."""
    print_line(f"  contribution of each feature, added to the mean of {reasons.start:.3f}, in {reasons.unit}")
    least = SMALLEST_SHOWN * max(map(abs, reasons.groups.values()), default=0.0)
    groups = [(name, value, "") for name, value in reasons.groups.items() if abs(value) > least]
    features = [(name.replace("_", " "), value, reasons.values[name]) for name, value in reasons.features.items() if value][
        :MOST_FEATURES
    ]
    rows = [*groups, *features]
    names = iter(_aligned([name for name, *_ in rows]))
    largest = max((abs(value) for _, value, _ in rows), default=1.0)
    for title, some in (("groups", groups), ("single features", features)):
        print_line(f"  {title}")
        for _, value, post in some:
            print_line(f"    {next(names)}{value:>+8.3f}  {_bar(value / largest)}  {post}".rstrip())


def _aligned(names: Sequence[str]) -> list[str]:
    """Bring names to one width on a terminal, where some signs take two places; cut what is far too long."""
    from rich.cells import cell_len, set_cell_size

    width = min(LONGEST_NAME, max(map(cell_len, names), default=0))
    return [
        set_cell_size(name, width) if cell_len(name) <= width else f"{set_cell_size(name, width - 1)}…" for name in names
    ]


def _bar(share: float) -> str:
    """A bar to the left or right of a middle, for a share in -1..1."""
    bar = "█" * round(BAR * abs(share))
    left, right = (bar, "") if share < 0 else ("", bar)
    return f"{left:>{BAR}}│{right:<{BAR}}"


def show_table(summary: TableSummary) -> None:
    print_line(f"{summary.out}: {summary.rows:,} rows, predicted by {summary.run}")
    if summary.problems:
        print_line(f"  {summary.problems:,} rows have a problem: {summary.problems_file}")
    if summary.far:
        print_line(
            f"  {summary.far:,} rows are guesses (is_guess): unlike the training posts, so their intervals were widened"
        )
    for warning in summary.warnings:
        print_line(f"  warning: {warning}")
    for mark in summary.marks:
        print_line(f"  mark: {mark}")
    if summary.leaky and LEAKY not in summary.marks:
        print_line(f"  {LEAKY}")
