"""A model hub on 127.0.0.1: a real HTTP server that speaks what a Hub client needs, with faults on demand.

    with FakeHub() as hub:
        commit = hub.add_repo("org/name", model_files())
        hub.fail("model.safetensors", Fault(break_after=1000))
        fetch("hf://org/name", environ={"HF_ENDPOINT": hub.url}, ...)
        assert hub.seen("model.safetensors")[1].range == "bytes=1000-"

Like the Hub it lists a revision under ``/api/models/``, serves small files itself (ETag: their git blob id), and
redirects those in LFS (here: ``*.safetensors`` and ``*.gguf``) to another origin with ``X-Linked-Etag`` (their sha256).
It also serves plain folders.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

HOLD_S = 60.0  # longer than any test waits for something else


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answered instead of the file, with ``headers``.
        break_after: the connection is cut after so many bytes of the body.
        hold_after: nothing comes after so many bytes of the body, until ``release()``.
        body: sent in place of the file's own bytes, with headers to match.
        whole: a Range is ignored.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    break_after: int | None = None
    hold_after: int | None = None
    body: bytes | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    host: str
    range: str | None
    if_range: str | None
    authorization: str | None
    query: str = ""


@dataclass(slots=True)
class _Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


class FakeHub:
    """See the top of this file. ``token``: if set, every repository needs it; ``gated``: repositories that say so."""

    def __init__(self, *, token: str | None = None) -> None:
        self.token = token
        self.gated: set[str] = set()
        self.requests: list[Seen] = []
        self._held = threading.Semaphore(0)
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._repos: dict[str, _Repo] = {}
        self._stored: dict[str, bytes] = {}
        self._pages: dict[str, bytes] = {}
        self._faults: dict[str, list[Fault]] = {}
        self.claimed_sizes: dict[str, int] = {}
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-hub")

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_repo(self, repo: str, files: Mapping[str, bytes], *, revision: str = "main") -> str:
        """Commit ``files`` to ``repo`` under ``revision``; the commit's id comes back."""
        digest = hashlib.sha1(repr(sorted((name, sha256(content)) for name, content in files.items())).encode())
        commit = digest.hexdigest()
        entry = self._repos.setdefault(repo, _Repo())
        entry.commits[commit] = dict(files)
        entry.refs[revision] = commit
        self._stored.update({sha256(content): content for content in files.values()})
        return commit

    def add_folder(self, path: str, files: Mapping[str, bytes]) -> str:
        """Serve ``files`` as a plain web folder; its URL comes back, with a slash at its end."""
        self._pages.update({f"/{path}/{name}": content for name, content in files.items()})
        return f"{self.url}/{path}/"

    def fail(self, name: str, *faults: Fault) -> None:
        """The next GETs of the file ``name`` fail so, one after the other, before it works again."""
        with self._lock:
            self._faults.setdefault(name, []).extend(faults)

    def wait_held(self, requests: int = 1) -> None:
        """Return once so many (more) requests are held back."""
        for _ in range(requests):
            assert self._held.acquire(timeout=HOLD_S), "no request came that is held back"

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Return once ``true()``, which something outside this process brings about."""
        deadline_s = time.monotonic() + HOLD_S
        while not true():
            assert time.monotonic() < deadline_s, "it did not come about"
            self._released.wait(0.01)

    def hold(self) -> None:
        """Called by the server for a request that is held back."""
        self._held.release()
        self._released.wait(HOLD_S)

    def release(self) -> None:
        """Hold nothing back any more."""
        self._released.set()

    def seen(self, name: str) -> list[Seen]:
        """The GETs of bytes of ``name``, in order; a redirect to the store counts once, as the store's."""
        stored = {f"/store/{digest}/{name}" for digest in self._stored}
        with self._lock:
            requests = [seen for seen in self.requests if seen.method == "GET"]
        if lfs(name):
            return [seen for seen in requests if seen.path in stored or seen.path in self._pages_of(name)]
        return [seen for seen in requests if seen.path.endswith("/" + name)]

    def _pages_of(self, name: str) -> set[str]:
        return {path for path in self._pages if path.endswith("/" + name)}

    def answer(self, path: str, authorization: str | None) -> _Answer:
        """What ``path`` holds, before anything goes wrong."""
        if path.startswith("/store/"):
            digest = path.split("/")[2]
            return _Answer(self._stored[digest], {"ETag": f'"{digest[:32]}"'})
        if path in self._pages:
            return _Answer(self._pages[path], {"ETag": f'"{sha256(self._pages[path])[:16]}"'})
        if path.startswith("/api/models/"):
            return self._listing(path.removeprefix("/api/models/"), authorization)
        if "/resolve/" in path:
            return self._resolve(path, authorization)
        return _Answer(b"not found", status=404)

    def next_fault(self, path: str) -> Fault | None:
        with self._lock:
            for name, faults in self._faults.items():
                if faults and path.endswith("/" + name) and not (lfs(name) and "/resolve/" in path):
                    return faults.pop(0)
        return None

    def _denied(self, repo: str, authorization: str | None) -> _Answer | None:
        if repo in self.gated:
            return _Answer(b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, 403)
        if repo not in self._repos or (self.token and authorization != f"Bearer {self.token}"):
            return _Answer(b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, 401)
        return None

    def _listing(self, rest: str, authorization: str | None) -> _Answer:
        kind = "/tree/" if "/tree/" in rest else "/revision/"
        repo, _, revision = rest.partition(kind)
        denied = self._denied(repo, authorization)
        if denied:
            return denied
        entry = self._repos[repo]
        commit = entry.refs.get(unquote(revision), unquote(revision))
        if commit not in entry.commits:
            return _Answer(b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}, 404)
        if kind == "/tree/":
            tree = [_tree_entry(name, content) for name, content in entry.commits[commit].items()]
            return _Answer(json.dumps(tree).encode(), {"Content-Type": "application/json"})
        siblings = [self._sibling(name, content) for name, content in entry.commits[commit].items()]
        body = {"id": repo, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0, "private": False}
        return _Answer(json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        size = self.claimed_sizes.get(name, len(content))
        sibling: dict[str, Any] = {"rfilename": name, "size": size, "blobId": git_sha1(content)}
        if lfs(name):
            sibling["lfs"] = {"sha256": sha256(content), "size": size, "pointerSize": 134}
        return sibling

    def _resolve(self, path: str, authorization: str | None) -> _Answer:
        repo, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        denied = self._denied(repo, authorization)
        if denied:
            return denied
        entry = self._repos[repo]
        commit = entry.refs.get(revision, revision)
        content = entry.commits.get(commit, {}).get(name)
        if content is None:
            return _Answer(b"not found", {"X-Error-Code": "EntryNotFound"}, 404)
        headers = {"X-Repo-Commit": commit}
        if not lfs(name):
            return _Answer(content, {**headers, "ETag": f'"{git_sha1(content)}"'})
        linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
        # Another host name is another origin: whoever follows must leave the token behind.
        store = f"http://localhost:{self.port}/store/{sha256(content)}/{name}?signature=secret-signature"
        return _Answer(b"", {**headers, **linked, "Location": store}, 302)


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: FakeHub

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def log_message(self, *args: object) -> None:
        """A test that wants to know asks ``requests``."""

    def _serve(self, *, with_body: bool) -> None:
        hub, path = self.server_hub, unquote(urlsplit(self.path).path)
        seen = Seen(
            self.command,
            path,
            self.headers["Host"].partition(":")[0],
            self.headers["Range"],
            self.headers["If-Range"],
            self.headers["Authorization"],
            urlsplit(self.path).query,
        )
        hub.requests.append(seen)
        answer = hub.answer(path, seen.authorization)
        fault = (hub.next_fault(path) if with_body else None) or Fault()
        if fault.status is not None:
            answer = _Answer(b"fault", fault.headers, fault.status)
        body = answer.body if fault.body is None else fault.body
        status, headers = answer.status, dict(answer.headers)
        if seen.range and status == 200 and not fault.whole and seen.if_range in (None, headers.get("ETag")):
            first = int(seen.range.removeprefix("bytes=").rstrip("-"))
            total = len(body)
            status, body = (206, body[first:]) if first < total else (416, b"")
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}" if status == 206 else f"bytes */{total}"
        self._send(status, headers, body, fault, with_body=with_body)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault, *, with_body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not with_body:
            return
        try:
            if fault.break_after is not None:
                self.wfile.write(body[: fault.break_after])
                self.close_connection = True
            elif fault.hold_after is not None:
                self.wfile.write(body[: fault.hold_after])
                self.server_hub.hold()
                self.wfile.write(body[fault.hold_after :])
            else:
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has gone: that is what some tests are about


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": git_sha1(content)}
    return {**entry, "lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 134}} if lfs(name) else entry


def lfs(name: str) -> bool:
    return name.endswith((".safetensors", ".gguf"))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def safetensors(parameters: int, *, seed: int = 0, name: str = "weight") -> bytes:
    """A whole safetensors file of one F32 tensor with bytes that differ by ``seed``."""
    data = hashlib.shake_128(str(seed).encode()).digest(4 * parameters)
    entry = {name: {"dtype": "F32", "shape": [parameters], "data_offsets": [0, len(data)]}}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entry}).encode()
    return len(header).to_bytes(8, "little") + header + data


def model_files(*, parameters: int = 50_000, seed: int = 0) -> dict[str, bytes]:
    """What a small repository holds: config, tokenizer, card, 200 kB of weights, and things nobody wants."""
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "README.md": b"# A model\n",
        "config.json": json.dumps({"model_type": "llama", "seed": seed}).encode(),
        "model.safetensors": safetensors(parameters, seed=seed),
        "pytorch_model.bin": b"a pickle",
        "tokenizer.json": b"{}",
    }


def wanted_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of ``model_files`` that a fetch brings."""
    return {name: content for name, content in files.items() if name not in (".gitattributes", "pytorch_model.bin")}
