"""HTTP servers on this machine that speak as much of Binance's REST as a test needs, for the real ccxt."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

MARKET: Final = {
    "symbol": "ATOMUSDT",
    "status": "TRADING",
    "baseAsset": "ATOM",
    "quoteAsset": "USDT",
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "orderTypes": ["LIMIT", "MARKET"],
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
    "permissionSets": [["SPOT"]],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.00100000", "maxPrice": "1000.0", "tickSize": "0.00100000"},
        {"filterType": "LOT_SIZE", "minQty": "0.01000000", "maxQty": "90000.0", "stepSize": "0.01000000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ],
}


class Server(ThreadingHTTPServer):
    """On a free port of this machine."""

    daemon_threads = True
    handler: type[BaseHTTPRequestHandler]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle of an answer is no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers with JSON: `get`, `post` and `delete` are a test's to write."""

    protocol_version = "HTTP/1.1"

    def get(self) -> None:
        raise NotImplementedError

    def post(self) -> None:
        raise NotImplementedError

    def delete(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def do_DELETE(self) -> None:
        self.delete()

    def path_name(self) -> str:
        """The last word of the address."""
        return urlsplit(self.path).path.rsplit("/", 1)[-1]

    def query(self) -> dict[str, str]:
        """Of the address and of the body."""
        size = int(self.headers.get("Content-Length") or 0)
        text = urlsplit(self.path).query + "&" + self.rfile.read(size).decode()
        return {name: values[0] for name, values in parse_qs(text).items()}

    def markets(self) -> dict[str, Any]:
        """The answer to `exchangeInfo`: one market on the spot."""
        return {"symbols": [MARKET] if self.path.startswith("/api/") else []}

    def answer(self, content: Any, status: int = 200) -> None:
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(server: Server) -> Iterator[None]:
    """It answers until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
