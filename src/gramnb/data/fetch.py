"""From WEBEmo's lists of addresses to image files: each once, patiently, safe to interrupt.

An address is asked again when its failure may pass (a timeout, a lost connection, a busy server),
after growing pauses, or after those the server names. What arrives is decoded before it is kept,
and kept as it was sent: nothing is resized, bordered or encoded anew. Every line of a list gets
one status, so the table of attrition adds up to the list.

img2dataset, the usual tool, was tried and set aside: it asks again at once, so of 600 images on a
host that asks for pauses it got 201 (this: 600), and it calls a page or half a picture a success.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from http.client import IncompleteRead
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError, NewConnectionError
from urllib3.exceptions import TimeoutError as NoAnswer

from gramnb import __version__, runs
from gramnb.data.cached import cached_map
from gramnb.data.images import SUFFIXES, ImageError, decode
from gramnb.data.lists import EMOTIONS, read_lists

COLUMNS = ["list", "line", "url", "label", "status", "path"]
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may change
MAY_PASS = {"timeout", "no connection", "truncated", *(f"HTTP {code}" for code in BUSY)}
REDIRECTS = 10
LARGEST = 64 << 20  # bytes of one file
LONGEST_PAUSE = 60  # seconds between two attempts, whatever the server asks for


def fetch(
    lists: str | Path | Sequence[str | Path],
    out: str | Path,
    workers: int = 16,
    timeout: float = 10.0,
    retries: int = 3,
    progress: bool = True,
) -> pd.DataFrame:
    """Download the images of one list or more into `out`; return one row a line, in their order.

    Columns: list (its file name), line, url, label (0-24), status, path (relative to `out`, empty
    unless the status is "ok"). Other statuses: HTTP 404 and the like, "timeout", "no connection",
    "too many redirects", "not allowed" (the server forbids use in machine learning), "bad address",
    and the reasons of `images.ImageError`. An address that stands on several lines is asked once.

    `workers` downloads run at once; `timeout` seconds are granted each to connecting, to waiting
    for an answer and to the whole file; `retries` more attempts are made where they may help.

    Writes `images/`, `fetch.parquet` (the table; rows of other lists stay in it), `attrition.csv`
    (`attrition` of the table) and `fetch.sqlite` (what has been settled). Called again, it goes on
    where it stopped: what is settled is not asked for again, what may pass is.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: malformed lines, two lists of one name, or a `fetch.sqlite` of something else.
    """
    table = read_lists([lists] if isinstance(lists, str | Path) else lists)
    out = runs.resolve(out)
    out.mkdir(parents=True, exist_ok=True)
    fetcher = _Fetcher(out, timeout, retries)
    found = cached_map(
        out / "fetch.sqlite",
        lambda url, _: {"fetch": fetcher(url)},
        table["url"],
        ["fetch"],
        settled=lambda x: x[0] not in MAY_PASS and (x[0] != "ok" or (out / x[1]).is_file()),
        workers=workers,
        unit="image",
        progress=progress,
    )
    table[["status", "path"]] = [found[url]["fetch"] for url in table["url"]]
    _write(table[COLUMNS], out)
    return table[COLUMNS]


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many lines of `fetch`'s table have each status, "ok" first, then the commonest.

    Indexed by status; columns others, sadness, total. Each column adds up to its listed lines.
    """
    sadness = EMOTIONS[table["label"]] == "sadness"
    counts = pd.crosstab(table["status"], sadness).reindex(columns=[False, True], fill_value=0)
    counts = counts.set_axis(["others", "sadness"], axis=1)
    counts = counts.assign(total=counts.sum(axis=1))
    counts = counts.sort_values("total", ascending=False, kind="stable")
    return counts.sort_index(key=lambda status: status != "ok", kind="stable")


class _Failure(Exception):
    """Why an address gave no image; the message is its status."""


class _Retry(Retry):
    def get_retry_after(self, response) -> float | None:
        """Return the pause in seconds that a server asks for; nonsense asks for none."""
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None


class _Fetcher:
    """From an address to (status, path); called by many threads, a session each."""

    def __init__(self, out: Path, timeout: float, retries: int):
        self.out, self.timeout, self.local = out, timeout, threading.local()
        self.retry = _Retry(
            total=None,  # each kind of failure has its own
            connect=retries,
            read=retries,
            status=retries,
            other=retries,
            status_forcelist=BUSY,
            backoff_factor=0.5,  # pauses of 0, 1, 2, 4 ... seconds, unless the server names one
            backoff_max=LONGEST_PAUSE,
            retry_after_max=LONGEST_PAUSE,
            raise_on_status=False,
        )

    def __call__(self, url: str) -> tuple[str, str]:
        try:
            data = self.download(url)
            decode(data)
        except _Failure as failure:
            return str(failure), ""
        except ImageError as error:
            return error.reason, ""
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
        path = f"images/{name[:2]}/{name}{suffix if suffix in SUFFIXES else ''}"
        with runs.atomic(self.out / path) as temporary:
            temporary.write_bytes(data)
        return "ok", path

    def download(self, url: str) -> bytes:
        """Return the file at `url`, asking again for one that broke off."""
        retry = self.retry
        while True:
            try:
                with self.session().get(url, stream=True, timeout=self.timeout) as response:
                    return self.body(response)
            except (requests.RequestException, ValueError) as error:  # the session has tried again
                raise _Failure(_why(error)) from None
            except (HTTPError, TimeoutError) as error:
                try:
                    retry = retry.increment("GET", url, error=error)
                except (HTTPError, TimeoutError):
                    raise _Failure(_why(error)) from None
                retry.sleep()

    def session(self) -> requests.Session:
        if not hasattr(self.local, "session"):
            session = self.local.session = requests.Session()
            session.max_redirects = REDIRECTS
            session.headers["User-Agent"] = f"gramnb/{__version__}"
            session.headers["Accept-Encoding"] = "identity"  # images are compressed already
            session.mount("http://", HTTPAdapter(max_retries=self.retry))
            session.mount("https://", HTTPAdapter(max_retries=self.retry))
        return self.local.session

    def body(self, response: requests.Response) -> bytes:
        """Return what a response brings within the time granted."""
        if response.status_code != 200:
            raise _Failure(f"HTTP {response.status_code}")
        robots = response.headers.get("X-Robots-Tag", "").lower().replace(":", ",").split(",")
        if {"noai", "noimageai"} & set(map(str.strip, robots)):
            raise _Failure("not allowed")
        data, end = bytearray(), time.monotonic() + self.timeout
        while part := response.raw.read1(1 << 16):  # whatever has arrived
            data += part
            if len(data) > LARGEST:
                raise _Failure("too large")
            if time.monotonic() > end:
                raise TimeoutError
        if not data:
            raise _Failure("empty file")
        return bytes(data)


def _why(error: Exception) -> str:
    """Return the status of an address that failed with this error of requests or urllib3."""
    if isinstance(error, requests.TooManyRedirects):
        return "too many redirects"
    if isinstance(error, ValueError):  # how requests refuses what is no address
        return "bad address"
    causes = [error, *error.args]
    causes += [cause.reason for cause in causes if isinstance(cause, MaxRetryError)]
    if any(isinstance(cause, NewConnectionError) for cause in causes):  # refused, or no such host
        return "no connection"
    if any(isinstance(cause, TimeoutError | NoAnswer | requests.Timeout) for cause in causes):
        return "timeout"
    if any(isinstance(cause, IncompleteRead) for cause in causes):
        return "truncated"
    return "no connection"


def _write(table: pd.DataFrame, out: Path) -> None:
    """Write the table, beside the rows of other lists fetched into the same folder before."""
    file = out / "fetch.parquet"
    if file.is_file():
        before = pd.read_parquet(file)
        table = pd.concat([before[~before["list"].isin(table["list"].unique())], table])
    with runs.atomic(file) as temporary:
        table.to_parquet(temporary, index=False)
    with runs.atomic(out / "attrition.csv") as temporary:
        attrition(table).to_csv(temporary)
