"""What `engage test-plan` says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engage_cli.cli.render.output import print_line, print_table

if TYPE_CHECKING:
    from engage_cli.steps.test_plan import TestPlan

LONGEST = 40  # signs of a variant's name
MOST_SHOWN = 20
SHOWN_STAGES = (0, 500, 1000, 3000, 10_000, 50_000)  # impressions


def show_plan(found: TestPlan) -> None:
    from engage_cli.evaluation.evidence import warnings_of
    from engage_cli.steps.test_plan import GO_ON, STOP_ALIKE, STOP_SURE

    standing, config = found.standing, found.config
    order = sorted(range(len(found.titles)), key=lambda place: -standing.rate[place])
    columns = ["variant", "click rate", "best", "worth testing"]
    columns += ["impressions", "clicks"] if found.counts is not None else []
    rows = []
    for place in order[:MOST_SHOWN]:
        cells = [_name(found, place), f"{100 * standing.rate[place]:.2f} %", f"{100 * standing.best[place]:.0f} %"]
        cells.append("yes" if found.worth[place] else "no")
        if found.counts is not None:
            cells += [f"{found.counts.impressions[place]:,.0f}", f"{found.counts.clicks[place]:,.0f}"]
        rows.append(cells)
    known = "from the run and the counts" if found.counts is not None else "from the run alone"
    print_table(f"{len(order)} variants, {known}", columns, rows, needed=3)
    leader = _name(found, standing.leader)
    print_line(
        f"Ahead: {leader}. It is the best with {100 * standing.chance:.0f} % probability; showing it now costs "
        f"{standing.loss:.1f} % of its clicks on average."
    )
    verdict = found.verdict
    if verdict == STOP_SURE:
        print_line(f"Stop: it is the best with {100 * config.certainty:g} % probability or more. Show it.")
    elif verdict == STOP_ALIKE:
        print_line(f"Stop: showing the leader costs at most {config.tolerance:g} % of the best one's clicks. Show it.")
    else:
        assert verdict == GO_ON
        _show_stages(found)
    for warning in warnings_of(found.run):
        print_line(f"warning: {warning}")
    for mark in found.run.marks:
        print_line(f"mark: {mark}")


def _show_stages(found: TestPlan) -> None:
    more = "more " if found.counts is not None else ""
    plan, config = found.plan, found.config
    rows = [
        (f"{one.impressions:,}", f"{100 * one.chance:.0f} %", f"{one.loss:.1f} %")
        for one in plan.stages
        if one.impressions in SHOWN_STAGES or one.impressions == plan.until_decided
    ]
    title = f"A test of the {found.num_worth} variants worth testing, at a click rate of about {100 * found.rate:.2g} %"
    print_table(title, (f"{more}impressions each", "leader is the best", "clicks lost"), rows)
    if plan.until_decided is None:
        print_line("Go on only if impressions are free: even a million per variant would not decide it.")
        return
    why = (
        f"the leader is then the best with {100 * config.certainty:g} % probability"
        if plan.until_decided == plan.until_sure
        else f"showing the leader then costs no more than {config.tolerance:g} % of its clicks"
    )
    print_line(f"Go on: about {plan.until_decided:,} {more}impressions per variant decide it: {why}.")


def _name(found: TestPlan, place: int) -> str:
    """Name a variant by its number, and by what it has and others have not."""
    parts = [f"{place + 1}"]
    if len(set(found.images)) > 1:
        parts.append(found.images[place].replace("\\", "/").rpartition("/")[2])
    if len(set(found.titles)) > 1:
        title = " ".join(found.titles[place].split())
        parts.append(f"“{title if len(title) <= LONGEST else title[: LONGEST - 1] + '…'}”")
    return " ".join(parts)
