"""The part of the Hugging Face hub that a download uses, serving one folder as one model."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub_with(model: str, folder: Path) -> Iterator[str]:
    """Serve `folder` as the hub's `model` and yield the endpoint; every other model is unknown."""
    files = {f"/{model}/resolve/{COMMIT}/{file.name}": file.read_bytes() for file in folder.iterdir()}
    siblings = [{"rfilename": file.name} for file in folder.iterdir()]
    info = json.dumps({"id": model, "sha": COMMIT, "siblings": siblings}).encode()
    answers = files | {f"/api/models/{model}/revision/{revision}": info for revision in ("main", COMMIT)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            if body is None:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(body or b"").hexdigest()}"')
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815 - the name http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
