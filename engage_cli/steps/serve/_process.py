"""The server's side of the model process: a line of jobs, asked in batches; a process that dies is started again."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engage_cli.errors import EngageError
from engage_cli.steps.serve._frames import pack, read_async
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import Limits
from engage_cli.steps.serve._messages import Message, RunJson

WORKER = "engage_cli.steps.serve.worker"
# Its towers are threads already; others, which wait for work by turning, take the cores from them.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
FIRST_WAIT, LONGEST_WAIT = 0.2, 30.0  # seconds before a process that died is started again; doubled each time
LOADING_SECONDS = 600.0
RETRY_LOADING = 5  # seconds after which a client may try again while the model loads
ENDING_SECONDS = 5.0
SMOOTHING = 0.2  # of the seconds a job takes
# Of several who had their answers at once, some ask again at once: to wait for them makes one batch of two small ones.
LINGER = 0.06  # at most, of the seconds that their batch took
RECENT = 0.25  # seconds since it ended
LOOK = 0.002  # seconds between two looks at the line


class ModelGoneError(Exception):
    """The model process is not there, or died over this job: the client may ask again."""


class ModelTimeoutError(Exception):
    """The answer took too long."""


@dataclass(eq=False)
class _Waiting:
    job: Job
    reply: asyncio.Future[tuple[int, bytes]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """What became of one."""

    jobs: int
    seconds: float
    ended: float  # of time.monotonic()


class ModelProcess:
    """Use as: start(), then ask() from any task, then close()."""

    def __init__(self, run: Path, limits: Limits, say: Callable[[str], None], ledger: Path | None = None) -> None:
        self.run, self.limits, self.say, self.ledger = run, limits, say, ledger
        self.is_ready = False
        self.about: RunJson | None = None  # as the model process describes the run, once it is there
        self.seconds_a_job = 0.5
        self._last = _Batch(jobs=0, seconds=0.0, ended=0.0)
        self._line: deque[_Waiting] = deque()
        self._has_work = asyncio.Event()
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def reads_image(self) -> bool:
        assert self.about is not None
        return self.about["reads"]["image"]

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def retry_after(self) -> int:
        """Seconds after which the line will have moved, or the model will be there."""
        if not self.is_ready:
            return RETRY_LOADING
        return max(1, math.ceil(len(self._line) * self.seconds_a_job))

    async def start(self) -> None:
        """Return when the model is loaded; raise EngageError where it cannot be."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def ask(self, job: Job) -> tuple[int, bytes]:
        """Return the status and the JSON body that answer a job."""
        if not self.is_ready or self._is_closing:
            raise ModelGoneError
        waiting = _Waiting(job)
        self._line.append(waiting)
        self._has_work.set()
        try:
            return await asyncio.wait_for(waiting.reply, self.limits.seconds)
        except asyncio.TimeoutError:
            raise ModelTimeoutError from None
        finally:
            with contextlib.suppress(ValueError):  # it was taken out of the line to be asked
                self._line.remove(waiting)

    async def close(self) -> None:
        """Finish what was begun, then end the process."""
        self._is_closing = True
        self._has_work.set()
        if self._keeper is not None:
            if not self.is_ready:  # it is loading: nobody waits for that any more
                self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._end()

    async def _launch(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", WORKER, str(self.run), *([str(self.ledger)] if self.ledger else [])),
                stdin=PIPE,
                stdout=PIPE,
                env={**QUIET, **os.environ},
                start_new_session=True,  # Ctrl-C goes to the server alone
            )
        except OSError as error:
            raise EngageError(
                f"the model process cannot be started ({error.strerror}); free memory and start again"
            ) from None
        assert self._process.stdout is not None
        try:
            message, _ = await asyncio.wait_for(read_async(self._process.stdout), LOADING_SECONDS)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError):
            await self._end()
            raise EngageError("the model process ended before it loaded the model; read its output above") from None
        except asyncio.CancelledError:
            await self._end()
            raise
        if "failed" in message:
            await self._end()
            raise EngageError(message["failed"])
        self.about, self.is_ready = message["about"], True

    async def _keep(self) -> None:
        """Ask batch after batch; start the process again when it dies."""
        try:
            while not (self._is_closing and not self._line):
                await self._talk()
                if not (self._is_closing and not self._line):
                    await self._revive()
        finally:
            self.is_ready = False

    async def _talk(self) -> None:
        """Return when the process is gone, or the server closes and all is answered."""
        assert self._process is not None
        death = asyncio.create_task(self._process.wait())
        try:
            while not (self._is_closing and not self._line):
                work = asyncio.create_task(self._has_work.wait())
                await asyncio.wait({work, death}, return_when=asyncio.FIRST_COMPLETED)
                work.cancel()
                if death.done():
                    return
                await self._linger()
                if self._line and not await self._ask_batch(self._next_batch()):
                    return
                if not self._line and not self._is_closing:
                    self._has_work.clear()
        finally:
            death.cancel()

    async def _linger(self) -> None:
        last, until = self._last, time.monotonic() + LINGER * self._last.seconds
        if last.jobs > 1 and time.monotonic() - last.ended < RECENT:
            while len(self._line) < last.jobs and time.monotonic() < until:
                await asyncio.sleep(LOOK)

    def _next_batch(self) -> list[_Waiting]:
        """Take the first jobs out of the line: as many as go together; a reason, which takes longest, goes alone."""
        batch = [self._line.popleft()]
        images = len(batch[0].job.images)
        pixels = batch[0].job.pixels
        while self._line and not batch[0].job.explain and not self._line[0].job.explain:
            images += len(self._line[0].job.images)
            pixels += self._line[0].job.pixels
            if images > self.limits.batch_images or pixels > self.limits.batch_pixels:
                break
            batch.append(self._line.popleft())
        return batch

    async def _ask_batch(self, batch: list[_Waiting]) -> bool:
        """Ask, and hand out the answers; return whether the process can be asked again."""
        jobs = [one.job for one in batch]
        started = time.monotonic()
        try:
            statuses, bodies = await asyncio.wait_for(self._exchange(jobs), self.limits.seconds)
        except asyncio.TimeoutError:
            assert self._process is not None
            _kill(self._process)
            self._give_up(batch)
            return False
        except (asyncio.IncompleteReadError, ConnectionError):
            self._give_up(batch)
            return False
        except (LookupError, TypeError, ValueError) as error:  # what it sent is not an answer: it can no longer be followed
            self.say(f"the model process sent an invalid answer ({error!r})")
            self._give_up(batch)
            return False
        ended = time.monotonic()
        self._last = _Batch(jobs=len(batch), seconds=ended - started, ended=ended)
        self.seconds_a_job += SMOOTHING * ((ended - started) / len(batch) - self.seconds_a_job)
        for one, status, body in zip(batch, statuses, bodies, strict=True):
            if not one.reply.done():  # else its client waits no longer
                one.reply.set_result((status, body))
        return True

    async def _exchange(self, jobs: list[Job]) -> tuple[list[int], list[bytes]]:
        """Send jobs and return a status and a body for each; raise ValueError for fewer or more."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        message: Message = {"jobs": [job.to_message() for job in jobs]}
        self._process.stdin.write(pack(message, [image for job in jobs for image in job.images]))
        await self._process.stdin.drain()
        found, bodies = await read_async(self._process.stdout)
        if not len(jobs) == len(found["status"]) == len(bodies):
            raise ValueError(f"{len(bodies)} answers to {len(jobs)} jobs")
        return found["status"], bodies

    def _give_up(self, batch: list[_Waiting]) -> None:
        for one in (*batch, *self._line):
            if not one.reply.done():
                one.reply.set_exception(ModelGoneError())
        self._line.clear()

    async def _revive(self) -> None:
        self.is_ready = False
        self._give_up([])
        await self._end()
        pause = FIRST_WAIT
        while not self._is_closing:
            self.say(f"the model process ended; restarting it in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_WAIT)
            try:
                await self._launch()
            except EngageError as error:
                self.say(str(error))
            else:
                self.say("the model is running again")
                return

    async def _end(self) -> None:
        """End the process if it still runs; it ends by itself when its stdin does."""
        self.is_ready = False
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            # Its stdout is read to the end: a process whose pipe is full never counts as ended.
            await asyncio.wait_for(process.communicate(), ENDING_SECONDS)
        except asyncio.TimeoutError:
            _kill(process)
            await process.communicate()


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
        process.kill()
