"""Where a store lies: a folder, or a bucket of an object store (s3://, gs://, az://), which is read and never written.

A bucket's address and credentials come from the environment, by the names that its own tools use (AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

MANIFEST = "dataset.json"
# A URL that has been a path on its way has lost a slash.
_URL = re.compile(r"(s3|gs|az|abfss?)://?(.+)")


_RETRY: Final[RetryConfig] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


class Place(Protocol):
    """Manifests are found by venue, symbol and kind; None finds all of them."""

    def manifests(self, venue: str | None, symbol: str | None, kind: str | None) -> Iterator[tuple[str, bytes]]:
        """Name and content of each."""

    def source(self, venue: str, symbol: str, kind: str, file: str) -> Path | str:
        """What polars opens."""


def place_of(data_dir: str | Path) -> Place:
    """The folder, or the bucket. Raises ConfigError where what a bucket needs is not installed, or it is misnamed."""
    found = _URL.fullmatch(str(data_dir))
    return Folder(Path(data_dir)) if found is None else Bucket(f"{found[1]}://{found[2].rstrip('/')}")


def below(venue: str, symbol: str, kind: str) -> str:
    """The folder of a dataset, from the store's."""
    return f"venue={_word(venue)}/symbol={_word(symbol)}/kind={_word(kind)}"


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def manifests(self, venue: str | None, symbol: str | None, kind: str | None) -> Iterator[tuple[str, bytes]]:
        wanted = {"venue": venue, "symbol": symbol, "kind": kind}
        pattern = "/".join(f"{name}={'*' if word is None else _word(word)}" for name, word in wanted.items())
        for path in self.path.glob(f"{pattern}/{MANIFEST}"):
            yield str(path), path.read_bytes()

    def source(self, venue: str, symbol: str, kind: str, file: str) -> Path:
        return self.path / below(venue, symbol, kind) / file


class Bucket:
    """`url`: of the store's folder, without a slash at its end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = _connected(url)

    def manifests(self, venue: str | None, symbol: str | None, kind: str | None) -> Iterator[tuple[str, bytes]]:
        import obstore

        try:
            for prefix in self._prefixes(venue, symbol):
                for objects in obstore.list(self._store, prefix=prefix):
                    for one in objects:
                        *folders, name = one["path"].split("/")
                        if name == MANIFEST and (kind is None or folders[-1] == f"kind={_word(kind)}"):
                            yield f"{self.url}/{one['path']}", bytes(obstore.get(self._store, one["path"]).bytes())
        except (obstore.exceptions.BaseError, OSError) as error:
            raise DataError(f"{self.url} cannot be read: {_first_line(error)}") from error

    def _prefixes(self, venue: str | None, symbol: str | None) -> list[str]:
        """Of what may match: a symbol is looked up below every venue, not searched among all symbols."""
        import obstore

        if venue is not None:
            venues = [f"venue={_word(venue)}"]
        elif symbol is None:
            return [""]
        else:
            venues = list(obstore.list_with_delimiter(self._store)["common_prefixes"])
        return [one if symbol is None else f"{one}/symbol={_word(symbol)}" for one in venues]

    def source(self, venue: str, symbol: str, kind: str, file: str) -> str:
        return f"{self.url}/{below(venue, symbol, kind)}/{file}"


def _connected(url: str) -> ObjectStore:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise ConfigError(f"{url} takes one more package: pip install 'fillwright[cloud]'") from error
    try:
        return from_url(url, retry_config=_RETRY)
    except (BaseError, ValueError) as error:
        raise ConfigError(f"{url} is not the address of a bucket: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _word(name: str) -> str:
    if not name or name != name.strip():
        raise DataError(f"a venue or symbol must be a name without surrounding blanks, was {name!r}")
    return quote(name, safe="")
