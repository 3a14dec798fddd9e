"""A folder of this machine as an S3 bucket: as much of the protocol as readers speak, over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

STAMP = "2026-01-01T00:00:00.000Z"


@dataclass
class Bucket:
    """`asked`: every request since the start, as "METHOD key" or "LIST prefix"."""

    name: str
    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """What clients read from the environment."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


@contextmanager
def bucket_of(folder: Path, name: str = "market") -> Iterator[Bucket]:
    """Serves the files below `folder` as the objects of a bucket while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            key = unquote(url.path).removeprefix(f"/{name}").lstrip("/")
            if key == "":
                return self._list(parse_qs(url.query))
            return self._send(key)

        do_HEAD = do_GET  # noqa: N815 - the name that the server asks for

        def _list(self, query: dict[str, list[str]]) -> None:
            prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
            bucket.asked.append(f"LIST {prefix}")
            keys = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
            keys = [key for key in keys if key.startswith(prefix)]
            common = []
            if delimiter:
                heads = [key[len(prefix) :].partition(delimiter) for key in keys]
                common = sorted({prefix + head + cut for head, cut, _ in heads if cut})
                keys = [key for key, (_, cut, _) in zip(keys, heads, strict=True) if not cut]
            found = "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{STAMP}</LastModified><ETag>&quot;1&quot;</ETag>"
                f"<Size>{(folder / key).stat().st_size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                for key in keys
            )
            found += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in common)
            text = (
                f'<?xml version="1.0"?><ListBucketResult><Name>{name}</Name><Prefix>{escape(prefix)}</Prefix>'
                f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
            )
            self._answer(200, text.encode(), {"Content-Type": "application/xml"})

        def _send(self, key: str) -> None:
            bucket.asked.append(f"{self.command} {key}")
            path = folder / key
            if not path.is_file():
                return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
            content, size = path.read_bytes(), path.stat().st_size
            more = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
            asked = self.headers.get("Range")
            if asked is None:
                return self._answer(200, content, more)
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin = int(first) if first else max(0, size - int(last))
            end = min(size, int(last) + 1) if first and last else size
            more["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
            return self._answer(206, content[begin:end], more)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's word
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    bucket = Bucket(name, server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
