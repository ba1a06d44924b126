"""From WEBEmo's lists of addresses to image files: each once, patiently, safe to interrupt.

An address is asked again when its failure may pass (a timeout, a lost connection, a busy server),
after growing pauses, or after those the server names. What arrives is decoded before it is kept,
and kept as it was sent: nothing is resized, bordered or encoded anew. Every line of a list gets
one status, so the table of attrition adds up to the list.

img2dataset, the usual tool, was tried and set aside: it asks again at once, so of 600 images on a
host that asks for pauses it got 201 (this: 600), and it calls a page or half a picture a success.
"""

import hashlib
import socket
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import IncompleteRead
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, HTTPError, InvalidHeader, MaxRetryError
from urllib3.exceptions import NewConnectionError as NotConnected
from urllib3.exceptions import TimeoutError as NoAnswer

from gramnb import __version__, runs
from gramnb.data.cached import cached_map
from gramnb.data.images import MAX_BYTES, SUFFIXES, ImageError, decode
from gramnb.data.lists import EMOTIONS, MALFORMED, read_fetched, read_lists

COLUMNS = ["list", "line", "url", "label", "status", "path"]
RANGES = {"workers": (1, 256), "timeout": (0.1, 3600), "retries": (0, 20)}
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may change
MAY_PASS = {"timeout", "no connection", "truncated", *(f"HTTP {code}" for code in BUSY)}
LONGEST_PAUSE = 60  # seconds between two attempts, whatever the server asks for


def fetch(
    lists: str | Path | Sequence[str | Path],
    out: str | Path,
    workers: int = 16,
    timeout: float = 10.0,
    retries: int = 3,
    progress: bool = True,
    shard: tuple[int, int] = (1, 1),
) -> pd.DataFrame:
    """Download the images of one list or more into `out`; return one row a line, in their order.

    Columns: list (its file name), line, url, label (0-24), status, path (relative to `out`, empty
    unless the status is "ok"). Other statuses: HTTP 404 and the like, "timeout", "no connection",
    "too many redirects", "not allowed" (the server forbids use in machine learning), "bad address",
    "malformed line" (without url, label -1) and the reasons of `images.ImageError`. An address that
    stands on several lines is asked once.

    `workers` downloads run at once; `timeout` seconds are granted each to connecting, to all of an
    answer's headers and to the whole file; `retries` more attempts are made where they may help.

    Writes `images/`, `fetch.parquet` (the table; rows of other lists stay in it), `attrition.csv`
    (`attrition` of the table) and `fetch.sqlite` (what has been settled). Called again, it goes on
    where it stopped: what is settled is not asked for again, what may pass is. `shard` (i, n) means
    the i-th of n parts, by address; processes that fetch into one folder at once lose no row.

    Raises:
        FileNotFoundError: there is no such list.
        OSError: no room on the disk; what has arrived is kept.
        ValueError: a file that is no list, two of one name, an option outside its range, or a
            `fetch.sqlite` or `fetch.parquet` of something else.
    """
    for name, value in {"workers": workers, "timeout": timeout, "retries": retries}.items():
        low, high = RANGES[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, got {value}")
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard must be one of 1/{parts} to {parts}/{parts}, got {part}/{parts}")

    def mine(urls: pd.Series) -> pd.Series:
        return urls.map(lambda url: zlib.crc32(url.encode()) % parts == part - 1).astype(bool)

    table = read_lists([lists] if isinstance(lists, str | Path) else lists)
    table = table[mine(table["url"])].reset_index(drop=True)
    out = runs.resolve(out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "fetch.parquet"
    if file.is_file():
        read_fetched(file, COLUMNS)  # refused, if it is damaged, before any download
    download = _Download(timeout, retries, workers)

    def keep(url: str, _: dict) -> dict:
        try:
            data = download(url)
            decode(data)
        except ImageError as error:
            return {"fetch": (error.reason, "")}
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
        path = f"images/{name[:2]}/{name}{suffix if suffix in SUFFIXES else ''}"
        with runs.atomic(out / path) as temporary:
            temporary.write_bytes(data)
        return {"fetch": ("ok", path)}

    found = cached_map(
        out / "fetch.sqlite",
        keep,
        table.loc[table["label"] >= 0, "url"],
        ["fetch"],
        "fetching",
        settled=lambda x: x[0] not in MAY_PASS and (x[0] != "ok" or (out / x[1]).is_file()),
        workers=workers,
        progress=progress,
    )
    found[""] = {"fetch": (MALFORMED, "")}
    ended = [found[url]["fetch"] for url in table["url"]]
    table = table.join(pd.DataFrame(ended, columns=["status", "path"]))[COLUMNS]
    with _alone(out / "fetch.sqlite"):  # another shard may be about to add its rows
        before = read_fetched(file, COLUMNS) if file.is_file() else table.head(0)
        old = before["list"].isin(table["list"].unique()) & mine(before["url"])
        whole = pd.concat([before[~old], table])
        with runs.atomic(file) as temporary:
            whole.to_parquet(temporary, index=False)
        with runs.atomic(out / "attrition.csv") as temporary:
            attrition(whole).to_csv(temporary)
    return table


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Hold the store's lock meanwhile; raise ValueError if another process keeps it."""
    with closing(sqlite3.connect(store, timeout=60)) as lock:
        try:
            lock.execute("begin immediate")
        except sqlite3.OperationalError as error:
            raise ValueError(f"{store}: {error}; call again, what has arrived is kept") from None
        yield


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many lines of `fetch`'s table have each status, "total" last.

    Indexed by status; columns others, sadness, total. Malformed lines are of neither class.
    """
    sadness = EMOTIONS[table["label"]] == "sadness"
    counts = pd.DataFrame({"others": ~sadness & (table["label"] >= 0), "sadness": sadness})
    counts = counts.assign(total=True).groupby(table["status"]).sum()
    counts.loc["total"] = counts.sum()
    return counts


class _Retry(Retry):
    def get_retry_after(self, response) -> float | None:
        """Return the pause in seconds that a server asks for; nonsense asks for none."""
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None


@contextmanager
def _within(seconds: float, stop: Callable[[], None]) -> Iterator[None]:
    """Let the block end in TimeoutError after `seconds`, when another thread calls `stop`.

    A socket's own timeout begins anew with each byte, so one byte a second never ends.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(Exception):  # what has ended meanwhile cannot be stopped
            stop()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise TimeoutError("not within the time granted")


class _Watched:
    """A connection of urllib3 whose handshake and headers come in time, or not at all.

    What comes with another answer than 200 is of no use and may have no end: it is not read.
    """

    line: socket.socket | None = None  # the same connection, whatever encrypts it by now

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        self.line = made.dup()
        return made

    def stop(self) -> None:
        self.line.shutdown(socket.SHUT_RDWR)

    def connect(self) -> None:
        with _within(self.timeout, self.stop):
            super().connect()

    def getresponse(self):
        with _within(self.timeout, self.stop):
            response = super().getresponse()
        if response.status != 200:
            response.close()
        return response

    def close(self) -> None:
        super().close()
        if self.line:
            self.line.close()


_CONNECTIONS = {
    "http": type("WatchedHTTP", (_Watched, HTTPConnection), {}),
    "https": type("WatchedHTTPS", (_Watched, HTTPSConnection), {}),
}


class _Adapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args, **kwargs):
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _CONNECTIONS[pool.scheme]
        return pool


class _Download:
    """From an address to its file's bytes, or an `ImageError` that says why not; for many threads.

    One session serves them all: it keeps no cookies, the state that threads would share.
    """

    def __init__(self, timeout: float, retries: int, workers: int):
        self.timeout, self.session = timeout, requests.Session()
        self.retry = _Retry(
            total=None,  # each kind of failure has its own
            **dict.fromkeys(("connect", "read", "status", "other"), retries),
            status_forcelist=BUSY,
            backoff_factor=0.5,  # pauses of 0, 1, 2, 4 ... seconds, unless the server names one
            backoff_max=LONGEST_PAUSE,
            retry_after_max=LONGEST_PAUSE,
            raise_on_status=False,
        )
        adapter = _Adapter(workers, workers, self.retry)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)
        self.session.max_redirects = 10
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.session.headers["User-Agent"] = f"gramnb/{__version__}"
        self.session.headers["Accept-Encoding"] = "identity"  # images are compressed already

    def __call__(self, url: str) -> bytes:
        retry = self.retry  # of a file that broke off; what fails before has been tried again
        while True:
            try:
                with self.session.get(url, stream=True, timeout=self.timeout) as response:
                    return self.body(response)
            except ImageError:
                raise
            except (requests.RequestException, ValueError) as error:
                raise ImageError(_why(error), str(error), url) from None
            except (HTTPError, TimeoutError) as error:
                try:
                    retry = retry.increment("GET", url, error=error)
                except (HTTPError, TimeoutError):
                    raise ImageError(_why(error), str(error), url) from None
                retry.sleep()

    def body(self, response: requests.Response) -> bytes:
        """Return what a response brings within the time granted."""
        if response.status_code != 200:
            raise ImageError(f"HTTP {response.status_code}", response.reason)
        robots = response.headers.get("X-Robots-Tag", "").lower().replace(":", ",").split(",")
        if {"noai", "noimageai"} & set(map(str.strip, robots)):
            raise ImageError("not allowed", "X-Robots-Tag")
        data = bytearray()
        with _within(self.timeout, response.raw.shutdown):
            # whatever has arrived; some servers compress what was asked for as it is
            while part := response.raw.read1(1 << 16, decode_content=True):
                data += part
                if len(data) > MAX_BYTES:
                    raise ImageError("too large", f"over {MAX_BYTES} bytes")
        if not data:
            raise ImageError("empty file", "0 bytes")
        return bytes(data)


def _why(error: Exception) -> str:
    """Return the status of an address that failed with this error of requests or urllib3."""
    if isinstance(error, requests.TooManyRedirects):
        return "too many redirects"
    if isinstance(error, ValueError):  # how requests refuses what is no address
        return "bad address"
    causes = [error, *error.args]
    causes += [cause.reason for cause in causes if isinstance(cause, MaxRetryError)]
    if any(isinstance(cause, NotConnected) for cause in causes):  # refused, or no such host
        return "no connection"
    if any(isinstance(cause, TimeoutError | NoAnswer | requests.Timeout) for cause in causes):
        return "timeout"
    if any(isinstance(cause, IncompleteRead | DecodeError) for cause in causes):
        return "truncated"
    return "no connection"
