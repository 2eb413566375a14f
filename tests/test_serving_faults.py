"""engage serve under load, with a model that dies or hangs, and with clients that dawdle or leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from engage_cli.steps.serve._admission import Admission, NoRoomError
from engage_cli.steps.serve._api import make_app
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import MIB, Limits
from engage_cli.steps.serve._process import ModelGoneError, ModelProcess, ModelTimeoutError
from tests.served import Server, fork_model, serving, serving_here
from tests.sources import encoded, picture

IMAGE = encoded(picture(1).resize((160, 90)))
BOUNDARY = b"--x\r\nContent-Disposition: form-data; name=images; filename=a.jpg\r\n\r\n"
END = b"\r\n--x--\r\n"


@pytest.fixture
def forked_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model processes are as in earnest, but that they have all loaded when they begin."""
    monkeypatch.setattr(asyncio, "create_subprocess_exec", fork_model)


@dataclass
class Here(Server):
    """A server in this process, and its model process."""

    of: ModelProcess = field(kw_only=True)

    def model(self) -> int:
        assert self.of.pid is not None
        return self.of.pid


@pytest.fixture
def server(world: Path, forked_models: None) -> Iterator[Here]:
    said: list[str] = []
    model = ModelProcess(world / "runs" / "gp", Limits(), said.append)
    with serving_here(model) as found:
        assert eventually(lambda: model.is_ready)
        yield Here(found.url, said=said, of=model)


@contextlib.contextmanager
def half_sent(server: Server, body: bytes, length: int | None = None) -> Iterator[socket.socket]:
    """A request whose body has only begun."""
    host, port = server.url.removeprefix("http://").split(":")
    length = len(BOUNDARY) + len(body) + len(END) if length is None else length
    head = f"POST /api/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + BOUNDARY + body)
        yield connection


def eventually(condition, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_more_than_can_wait_are_told_when_to_ask_again(server: Here) -> None:
    worker = server.model()
    os.kill(worker, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(Limits().waiting):
                stack.enter_context(half_sent(server, IMAGE)).sendall(END)

            def is_full() -> bool:
                """A question is refused before its body is read."""
                with half_sent(server, b"x") as connection:
                    connection.settimeout(0.5)
                    with contextlib.suppress(TimeoutError):
                        connection.sendall(IMAGE[1:] + END)
                        return connection.recv(100).startswith(b"HTTP/1.1 429 ")
                return False

            assert eventually(is_full)
            refused = server.ask("/api/predict", [("a.jpg", IMAGE)], ["x"])
            assert refused.status_code == 429
            assert "too many requests at once" in refused.json()["error"]
            assert int(refused.headers["retry-after"]) >= 1
            assert server.get("/api/run").status_code == 200  # the page goes on
    finally:
        os.kill(worker, signal.SIGCONT)
    assert eventually(lambda: server.ask("/api/predict", [("a.jpg", IMAGE)], ["x"]).status_code == 200)


def test_nothing_that_is_sent_reaches_the_disk(server: Here) -> None:
    before = opened_files()
    with half_sent(server, b"\xff" * (6 * MIB), length=8 * MIB):
        time.sleep(0.5)
        assert not [name for name in opened_files() - before if "(deleted)" in name or "/tmp" in name]


def opened_files() -> set[str]:
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(os.readlink(file))
    return found


def test_a_killed_model_is_started_again(server: Here) -> None:
    assert server.ask("/api/predict", [("a.jpg", IMAGE)], ["x"]).status_code == 200
    before = server.model()
    os.kill(before, signal.SIGKILL)
    seen: list[int] = []

    def is_back() -> bool:
        response = server.ask("/api/predict", [("a.jpg", IMAGE)], ["x"])
        seen.append(response.status_code)
        assert response.status_code in (200, 503), response.text
        if response.status_code == 503:
            assert int(response.headers["retry-after"]) >= 1
            assert response.json()["error"].endswith("try again")
        return response.status_code == 200

    assert eventually(is_back, seconds=120)
    assert 503 in seen
    assert server.model() != before
    assert any("restarting it in" in line for line in server.said)


def test_a_stopped_server_finishes_what_it_began(world: Path) -> None:
    """A true process: it has loaded nothing heavy, its model process has."""
    with serving(world / "runs" / "gp") as server:
        worker = server.model()
        assert "numpy" in maps_of(server.process.pid)
        assert not [name for name in HEAVY if name in maps_of(server.process.pid)]
        assert "/torch/" in maps_of(worker)
        with half_sent(server, IMAGE) as connection:
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert server.process.poll() is None
            connection.sendall(END)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b'"percentile"' in answer
        assert server.process.wait(timeout=30) == 0
        assert not Path(f"/proc/{worker}").exists()
        with pytest.raises(httpx.ConnectError):
            server.get("/")
    assert server.said[-1] == "stopped; all requests were answered\n"


HEAVY = ("/torch/", "/sklearn/", "/matplotlib/", "/catboost/")


def maps_of(process: int) -> str:
    return Path(f"/proc/{process}/maps").read_text()


def test_a_killed_server_leaves_no_model_behind(world: Path) -> None:
    with serving(world / "runs" / "gp", is_forked=True) as server:
        worker = server.model()
        server.process.kill()
        server.process.wait(timeout=30)
        assert eventually(lambda: not Path(f"/proc/{worker}").exists())


@contextlib.asynccontextmanager
async def app_of(run: Path, limits: Limits) -> AsyncIterator[tuple[ModelProcess, httpx.AsyncClient]]:
    """The app without a socket, its model as it is in earnest."""
    model = ModelProcess(run, limits, lambda sentence: None)
    await model.start()
    app = make_app(model, limits, host="127.0.0.1", token="")
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60) as client:
            yield model, client
    finally:
        await model.close()


@pytest.mark.usefixtures("forked_models")
def test_clients_that_dawdle_and_a_model_that_hangs(world: Path) -> None:
    limits = Limits(seconds=1.5, body_seconds=0.3, waiting_bytes=len(IMAGE) + 1000)
    form = {"content-type": "multipart/form-data; boundary=x"}

    async def slowly() -> AsyncIterator[bytes]:
        yield BOUNDARY
        await asyncio.sleep(5)
        yield END

    async def ask() -> None:
        async with app_of(world / "runs" / "gp", limits) as (model, client):
            files = [("images", ("a.jpg", IMAGE))]
            late = await client.post("/api/predict", content=slowly(), headers=form)
            assert late.status_code == 408
            assert "longer than 0.3 s to arrive" in late.json()["error"]
            full = await client.post("/api/predict", files=[*files, *files])
            assert (full.status_code, full.json()["error"]) == (429, "the server is busy with other images; try again")
            assert (await client.post("/api/predict", files=files)).status_code == 200
            assert model.pid is not None
            first = model.pid
            os.kill(first, signal.SIGSTOP)
            answers = await asyncio.gather(*(client.post("/api/predict", files=files) for _ in range(1)))
            assert {answer.status_code for answer in answers} <= {503, 504}
            while not (model.is_ready and model.pid != first):  # it is killed, and another one started
                await asyncio.sleep(0.05)
            assert (await client.post("/api/predict", files=files)).status_code == 200

    asyncio.run(asyncio.wait_for(ask(), 120))


@pytest.mark.usefixtures("forked_models")
def test_jobs_wait_in_line_and_go_together(world: Path) -> None:
    """While the model is held, jobs wait; then they are answered each with its own answer, in few batches."""

    async def ask() -> None:
        model = ModelProcess(world / "runs" / "gp", Limits(seconds=30, batch_images=4), lambda sentence: None)
        await model.start()
        batches: list[int] = []
        inner = model._ask_batch

        async def counted(batch):
            batches.append(len(batch))
            return await inner(batch)

        model._ask_batch = counted
        jobs = [Job(names=(f"{n}.jpg",), images=(IMAGE,), titles=(f"title {n}",)) for n in range(9)]
        os.kill(model.pid, signal.SIGSTOP)
        asking = [asyncio.create_task(model.ask(job)) for job in jobs]
        await asyncio.sleep(0.3)
        asking[8].cancel()  # its client went away
        os.kill(model.pid, signal.SIGCONT)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers.pop(8), asyncio.CancelledError)
        for number, (status, body) in enumerate(answers):
            assert status == 200
            assert f'"title": "title {number}"'.encode() in body
        assert batches == [4, 4]  # as many as may go together; the ninth left its place
        os.kill(model.pid, signal.SIGSTOP)
        last = asyncio.create_task(model.ask(jobs[0]))
        await asyncio.sleep(0.1)
        os.kill(model.pid, signal.SIGKILL)
        with pytest.raises(ModelGoneError):
            await last
        assert not model.is_ready
        with pytest.raises((ModelGoneError, ModelTimeoutError)):
            await model.ask(jobs[0])
        await model.close()

    asyncio.run(asyncio.wait_for(ask(), 120))


WORKERS = {  # what stands for a model process -> what it does when it is asked for the first time
    "no answer": "out.write(pack({'status': [200]}, [])); out.flush()",
    "no JSON": "out.write((4).to_bytes(4, 'little') + b'what'); out.flush()",
    "too late, and more than a pipe holds": "time.sleep(2); out.write(pack({'status': [200]}, [b'x' * 1_000_000]))",
}
WORKER = """
import pathlib, sys, time
from engage_cli.steps.serve._frames import pack, read
out, flag = sys.stdout.buffer, pathlib.Path(sys.argv[1])
LOAD
out.write(pack({"about": {}})); out.flush()
FIRST
while (got := read(sys.stdin.buffer)) is not None:
    if not flag.exists():
        flag.touch()
        DO
    else:
        out.write(pack({"status": [200]}, [b"{}"])); out.flush()
"""


def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch, *, load: str = "", first: str = "", do: str = "pass") -> None:
    text = WORKER.replace("LOAD", load).replace("FIRST", first).replace("DO", do)
    (place / "stand_in_worker.py").write_text(text)
    monkeypatch.setattr("engage_cli.steps.serve._process.WORKER", "stand_in_worker")
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{Path(__file__).parent.parent}")


@pytest.mark.parametrize("name", [*WORKERS, "reads nothing"])
def test_a_model_process_that_answers_wrongly_is_started_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "reads nothing":
        stand_in(tmp_path, monkeypatch, first="if not flag.exists(): flag.touch(); time.sleep(100)")
    else:
        stand_in(tmp_path, monkeypatch, do=WORKERS[name])
    job = Job(names=("a.jpg",), images=(b"x" * 5 * MIB,))

    async def ask() -> None:
        model = ModelProcess(tmp_path / "flag", Limits(seconds=1.0), lambda sentence: None)
        await model.start()
        first = model.pid
        with pytest.raises((ModelGoneError, ModelTimeoutError)):
            await model.ask(job)
        while not (model.is_ready and model.pid != first):
            await asyncio.sleep(0.05)
        assert await model.ask(job) == (200, b"{}")
        await model.close()

    asyncio.run(asyncio.wait_for(ask(), 60))


def test_a_server_that_ends_does_not_wait_for_a_model_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, load="if flag.exists(): time.sleep(100)")

    async def ask() -> None:
        said: list[str] = []
        model = ModelProcess(tmp_path / "flag", Limits(), said.append)
        await model.start()
        (tmp_path / "flag").touch()
        assert model.pid is not None
        os.kill(model.pid, signal.SIGKILL)
        while not said:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        await asyncio.wait_for(model.close(), 20)  # of the 100 that it would load

    asyncio.run(asyncio.wait_for(ask(), 60))


def test_room_is_given_back() -> None:
    async def take() -> None:
        admission = Admission(Limits(waiting=2, waiting_bytes=100))
        with admission.place() as first, admission.place() as second:
            with admission.place() as third:
                assert (first, second, third) == (True, True, False)
            with admission.body() as one, admission.body() as other, one.arriving(), other.arriving():
                one.take(60)
                with pytest.raises(NoRoomError):
                    other.take(41)  # the first keeps its pace: it gives no way
                other.take(40)
            assert admission.bytes == 0
        with contextlib.suppress(ZeroDivisionError), admission.place(), admission.body() as body, body.arriving():
            body.take(100)
            raise ZeroDivisionError
        assert (admission.places, admission.bytes, admission.arriving) == (0, 0, set())

    asyncio.run(take())
