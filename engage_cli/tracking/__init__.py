"""Trainings as other tools show them, beside engage's own files and TensorBoard's events."""

from engage_cli.registry import Registry

# A new one is one file and one line.
TRACKERS = Registry(
    "tracker",
    {
        "mlflow": "engage_cli.tracking.mlflow:MlflowTracker",
        "trackio": "engage_cli.tracking.trackio:TrackioTracker",
    },
)
