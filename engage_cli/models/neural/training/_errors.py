"""What a user can mend when a training fails, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engage_cli.config.training import TrainConfig
from engage_cli.errors import EngageError
from engage_cli.runtime.devices import is_out_of_memory

NO_SUCH_TOKEN = "out of range in self"  # what torch says of an embedding's table


@contextmanager
def in_sentences(config: TrainConfig) -> Iterator[None]:
    """Turn errors of memory and of checkpoints whose files do not fit each other into an EngageError."""
    try:
        yield
    except IndexError as error:
        if NO_SUCH_TOKEN not in str(error):
            raise
        raise EngageError(
            "a tokenizer gives ids that its encoder does not have: the checkpoint's files do not fit"
        ) from None
    except (RuntimeError, MemoryError) as error:
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise EngageError(f"--compile does not work here, leave it out: {str(error).strip().splitlines()[0]}") from None
        if not is_out_of_memory(error):
            raise
        raise EngageError(
            f"memory ran out with --batch-size {config.batch_size}; give a smaller one with a larger --accumulate "
            f"({config.accumulate} now: their product is what counts), or --checkpointing where encoders are trained"
        ) from None
