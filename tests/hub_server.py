"""A server that speaks as much of the Hub's HTTP protocol as a release needs, and fails when told to.

Endpoints, status codes and bodies follow huggingface_hub 2.4's client: create, info with blobs, refs, preupload, LFS batch and
upload, validate-yaml, commit (NDJSON, `parentCommit`), tag, resolve.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Repo:
    private: bool
    commits: list = field(default_factory=list)  # (sha, {path: (digest, size, lfs)})
    tags: dict = field(default_factory=dict)
    blobs: dict = field(default_factory=dict)

    def commit(self, files):
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((sha, files))
        return sha

    @property
    def head(self):
        return self.commits[-1]


@dataclass
class Hub:
    """State, the log of requests, and the fault to inject: (number of the request, fault), once or from there on."""

    repos: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)  # LFS contents by SHA-256
    log: list = field(default_factory=list)
    faults: dict = field(default_factory=dict)  # request number -> fault
    dead_from: int | None = None
    uploads: list = field(default_factory=list)
    before_commit: list = field(default_factory=list)  # what somebody else does just before a commit arrives
    url: str = ""

    def contents(self, repo):
        known = self.repos[repo]
        return {name: self.objects[d] if lfs else known.blobs[d] for name, (d, _, lfs) in known.head[1].items()}


@contextmanager
def serving():
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _serve(self):
        hub = self.state
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        number = len(hub.log)
        hub.log.append(f"{self.command} {self.path.split('?')[0]}")
        fault = hub.faults.get(number)
        if hub.dead_from is not None and number >= hub.dead_from:
            fault = "cut"
        if isinstance(fault, int):
            return self._say(fault, {"error": "injected"}, {"Retry-After": "0"} if fault == 429 else {})
        if fault == "html":
            return self._raw(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})
        if fault == "cut":
            return self._cut()
        answer = self._route(body)
        if fault == "lost":  # it was done, but nobody hears of it
            return self._cut()
        return answer()

    do_GET = do_POST = do_PUT = do_HEAD = _serve

    def _cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _say(self, status, value, headers=None):
        self._raw(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _raw(self, status, data, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _route(self, body):
        hub, path = self.state, self.path.split("?")[0]
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return lambda: self._say(200, {"errors": [], "warnings": []})
        if found := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
            assert hashlib.sha256(body).hexdigest() == found[1]
            hub.objects[found[1]] = body
            hub.uploads.append(found[1])
            return lambda: self._raw(200, b"", {})
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+?)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(*found.groups())
        found = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(preupload|commit|tag|refs)(?:/(.+))?)?", path)
        if not found or found[1] not in hub.repos:
            headers = {"X-Error-Code": "RepoNotFound"}
            return lambda: self._say(404, {"error": "Repository not found"}, headers)
        repo, verb = hub.repos[found[1]], found[2]
        return getattr(self, f"_{verb or 'info'}")(found[1], repo, body, found[3])

    def _create(self, asked):
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.state.repos:
            return lambda: self._say(409, {"error": "exists", "url": f"{self.state.url}/datasets/{name}"})
        repo = self.state.repos[name] = Repo(asked.get("visibility") == "private" or bool(asked.get("private")))
        repo.blobs["0" * 40] = b"*.parquet filter=lfs\n"
        repo.commit({".gitattributes": ("0" * 40, 21, False)})
        return lambda: self._say(200, {"url": f"{self.state.url}/datasets/{name}"})

    def _info(self, name, repo, body, rest):
        sha, files = repo.head
        siblings = []
        for path, (digest, size, lfs) in files.items():
            one = {"rfilename": path, "size": size, "blobId": hashlib.sha1(digest.encode()).hexdigest() if lfs else digest}
            siblings.append({**one, "lfs": {"sha256": digest, "size": size, "pointerSize": 130}} if lfs else one)
        said = {"id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0}
        return lambda: self._say(200, said)

    def _refs(self, name, repo, body, rest):
        tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": sha} for t, sha in repo.tags.items()]
        return lambda: self._say(200, {"branches": [], "converts": [], "tags": tags})

    def _preupload(self, name, repo, body, rest):
        files = repo.head[1]
        said = [
            {
                "path": f["path"],
                "uploadMode": "lfs" if f["path"].endswith(".parquet") else "regular",
                "shouldIgnore": False,
                "oid": files.get(f["path"], (None,))[0],
            }
            for f in json.loads(body)["files"]
        ]
        return lambda: self._say(200, {"files": said})

    def _batch(self, asked):
        objects = []
        for one in asked["objects"]:
            there = one["oid"] in self.state.objects
            upload = {"upload": {"href": f"{self.state.url}/lfs/{one['oid']}", "header": {}}}
            objects.append({**one} if there else {**one, "actions": upload})
        return lambda: self._say(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name, repo, body, rest):
        for act in self.state.before_commit:
            act(repo)
        self.state.before_commit.clear()
        lines = [json.loads(line) for line in body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent != repo.head[0]:
            return lambda: self._say(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(repo.head[1])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                digest = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
                repo.blobs[digest] = content
                files[value["path"]] = (digest, len(content), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.state.objects:
                    return lambda: self._say(400, {"error": "LFS object is missing"})
                files[value["path"]] = (value["oid"], value["size"], True)
            else:
                del files[value["path"]]
        sha = repo.commit(files)
        return lambda: self._say(200, {"commitUrl": f"{self.state.url}/datasets/{name}/commit/{sha}", "commitOid": sha})

    def _tag(self, name, repo, body, rest):
        tag = json.loads(body)["tag"]
        if tag in repo.tags:
            return lambda: self._say(409, {"error": "tag exists"})
        repo.tags[tag] = rest if rest != "main" else repo.head[0]
        return lambda: self._say(200, {})

    def _resolve(self, name, revision, path):
        repo = self.state.repos[name]
        digest, *_ = next(files for sha, files in repo.commits if sha == revision)[path]
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": revision, "Content-Type": "text/plain"}
        return lambda: self._raw(200, repo.blobs[digest], headers)
