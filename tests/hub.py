"""A stub of the Hugging Face hub: repositories in memory, behind the routes that huggingface_hub asks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
COMMIT = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/main")
PREUPLOAD = re.compile(r"/api/models/[^/]+/[^/]+/preupload/main")


@dataclass
class Hub:
    """What lies on it, and what it was asked."""

    url: str = ""
    commits: dict[str, list[tuple[str, dict[str, bytes]]]] = field(default_factory=dict)  # repo -> (id, files), in order
    private: dict[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # "GET /owner/name/resolve/..."
    says_size: int | None = None  # in place of a file's true one
    says_commit: str | None = None
    status: int | None = None  # of every answer, where it refuses all

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        before = self.commits.setdefault(repo, [])
        oid = hashlib.sha1(repr((len(before), sorted(files))).encode()).hexdigest()
        before.append((oid, {**(before[-1][1] if before else {}), **files}))
        return oid

    def files(self, repo: str, revision: str = "main") -> tuple[str, dict[str, bytes]] | None:
        commits = self.commits.get(repo, [])
        found = commits[-1:] if revision == "main" else [one for one in commits if one[0] == revision]
        return found[0] if found else None


@contextlib.contextmanager
def hub_here() -> Iterator[Hub]:
    """Serve a hub from a thread, and lead huggingface_hub there."""
    from huggingface_hub import close_session, constants

    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

        def do_HEAD(self) -> None:
            self._resolve()

        def do_GET(self) -> None:
            self._resolve()

        def _resolve(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            found = RESOLVE.fullmatch(self.path)
            if hub.status is not None:
                return self._send(b"", hub.status)
            if found is None or found["repo"] not in hub.commits:
                return self._send(b"", 404, {"X-Error-Code": "RepoNotFound"})
            at = hub.files(found["repo"], found["revision"])
            if at is None:
                return self._send(b"", 404, {"X-Error-Code": "RevisionNotFound"})
            commit, files = at
            if found["name"] not in files:
                return self._send(b"", 404, {"X-Error-Code": "EntryNotFound"})
            data = files[found["name"]]
            more = {"X-Repo-Commit": hub.says_commit or commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
            if hub.says_size is not None:
                more["X-Linked-Size"] = str(hub.says_size)
            return self._send(data, 200, more)

        def do_POST(self) -> None:
            hub.asked.append(f"POST {self.path}")
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if hub.status is not None:
                return self._send(b"{}", hub.status)
            if self.path == "/api/repos/create":
                asked = json.loads(data)
                repo = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
                hub.private.setdefault(repo, asked.get("visibility") == "private" or asked.get("private", False))
                return self._say({"url": f"{hub.url}/{repo}"})
            if PREUPLOAD.fullmatch(self.path):
                names = [one["path"] for one in json.loads(data)["files"]]
                return self._say(
                    {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
                )
            if found := COMMIT.fullmatch(self.path):
                lines = [json.loads(line) for line in data.splitlines()]
                files = {
                    one["value"]["path"]: base64.b64decode(one["value"]["content"]) for one in lines if one["key"] == "file"
                }
                oid = hub.commit(found["repo"], files)
                return self._say(
                    {"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{found['repo']}/commit/{oid}"}
                )
            return self._say({})  # /api/validate-yaml

        def _say(self, content: dict[str, Any]) -> None:
            self._send(json.dumps(content).encode(), 200, {"Content-Type": "application/json"})

        def _send(self, data: bytes, status: int, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(more or {}), "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, pytest.MonkeyPatch.context() as patch:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setenv("HF_TOKEN", "hf_a_token_of_the_stub")
        close_session()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
            close_session()
