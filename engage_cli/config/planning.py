"""What can be set of `engage test-plan`."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.config.settings import setting


@dataclass(frozen=True, kw_only=True)
class TestPlanConfig:
    """When a test of variants is decided."""

    certainty: float = setting(0.9, "Stop when the leader is the best with this probability.", low=0.5, high=0.9999)
    tolerance: float = setting(
        1.0, "Also stop when showing the leader costs at most this percentage of its clicks.", low=0.01, high=50
    )
    rate: float | None = setting(
        None,
        "The usual click rate, for example 0.04. Default: what a run of click_rate predicts, else 0.05.",
        low=1e-6,
        high=0.9,
        show_default=False,
    )
    seed: int = setting(0, "Seed of the simulated tests.", low=0, high=2**32 - 1)

    __test__ = False  # pytest: no test, whatever its name
