"""What a worker process imports and calls; it is light, as what they import in earnest."""

from __future__ import annotations

import os
import signal


def kill_itself(batch: int) -> int:
    if batch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch
