"""How long an evaluation's plots take: of 20,000 posts, beside those of 600. Best of three, in turns."""

from __future__ import annotations

import time

from engage_cli.plots.evaluation import draw_evaluation
from tests.scored import value_score

ROWS = (600, 20_000)


def main() -> None:
    scores = {rows: value_score(rows, slices=False, resamples=0) for rows in ROWS}
    draw_evaluation(scores[ROWS[0]], dark=False)  # imports and fonts
    best = dict.fromkeys(ROWS, float("inf"))
    for _ in range(3):
        for rows, score in scores.items():
            start = time.perf_counter()
            draw_evaluation(score, dark=False)
            best[rows] = min(best[rows], time.perf_counter() - start)
    for rows, seconds in best.items():
        print(f"plots of {rows:>6,} posts {seconds:6.2f} s  {seconds / best[ROWS[0]]:5.2f} x those of {ROWS[0]}")


if __name__ == "__main__":
    main()
