"""From WEBEmo's lists of addresses to image files: each once, patiently, safe to interrupt.

An address is tried again when its failure may pass (a timeout, a lost connection, a busy server),
with growing pauses, or those the server asks for. What arrives is decoded before it is kept, and
kept as it was sent: nothing is resized, bordered or encoded anew. Every line of a list gets one
status, so the table of attrition adds up to the list. img2dataset, the usual tool, was tried and
set aside: it has no limit on an image's whole download (a server that drips bytes holds it as long
as it likes), asks again at once and for missing files too, keeps half an image or an HTML page as a
success unless it encodes all images anew, and after an interruption fetches unfinished shards again.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd
import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm

from gramnb import __version__, runs
from gramnb.data.images import ImageError, decode
from gramnb.data.lists import CATEGORIES, read_list

COLUMNS = ("list", "line", "url", "label", "status", "path")
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may change
MAY_PASS = ("timeout", "no connection", "truncated", *(f"HTTP {code}" for code in BUSY))
REDIRECTS = 10
MAX_BYTES = 64 << 20  # of one file
LONGEST_PAUSE = 60  # seconds between two attempts, whatever the server asks for
COMMIT = 200  # files between two commits, so at most what an interruption costs
_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"}
_TABLE = "create table if not exists files (url text primary key, status text, path text)"


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
    paths = [lists] if isinstance(lists, str | Path) else list(lists)
    out = runs.resolve(out)
    table = pd.concat([read_list(path).assign(list=Path(path).name) for path in paths])
    if table.duplicated(["list", "line"]).any():
        raise ValueError("two of the lists have the same file name; rename one to tell them apart")
    out.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(out / "fetch.sqlite", timeout=60)) as journal:
        settled = _settled(journal, out)
        todo = [url for url in dict.fromkeys(table["url"]) if url not in settled]
        one = _Fetcher(out, workers, timeout, retries)
        with (
            ThreadPool(workers) as pool,
            tqdm(total=len(todo), unit="image", disable=not (progress and todo)) as bar,
        ):
            for block in _blocks(pool.imap_unordered(one, todo), journal):
                settled |= {url: (status, path) for url, status, path in block}
                bar.update(len(block))
    files = pd.DataFrame([settled[url] for url in table["url"]], columns=["status", "path"])
    table = table.reset_index(drop=True).join(files)[list(COLUMNS)]
    _write(table, out)
    return table


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many lines of `fetch`'s table have each status, "ok" first, then the commonest.

    Indexed by status; columns others, sadness, total. Each column adds up to its listed lines.
    """
    sadness = table["label"].map(lambda label: CATEGORIES[label][1] == "sadness")
    counts = pd.crosstab(table["status"], sadness).reindex(columns=[False, True], fill_value=0)
    counts = counts.set_axis(["others", "sadness"], axis=1)
    counts = counts.assign(total=counts.sum(axis=1)).sort_values("total", ascending=False)
    return counts.sort_index(key=lambda status: status != "ok", kind="stable")


class _Fetcher:
    """One address to (address, status, path): what the pool's threads run, a session each."""

    def __init__(self, out: Path, workers: int, timeout: float, retries: int):
        self.out, self.workers, self.timeout = out, workers, timeout
        self.local = threading.local()
        self.retry = urllib3.Retry(
            total=None,
            connect=retries,
            read=retries,
            status=retries,
            other=retries,
            status_forcelist=BUSY,
            backoff_factor=0.5,  # seconds: at once, then after 1, 2, 4, ...
            backoff_max=LONGEST_PAUSE,
            retry_after_max=LONGEST_PAUSE,
            raise_on_status=False,
        )

    def __call__(self, url: str) -> tuple[str, str, str]:
        try:
            data = self._download(url)
            decode(data)
        except _Failure as failure:
            return url, str(failure), ""
        except ImageError as error:
            return url, error.reason, ""
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        path = f"images/{name[:2]}/{name}{suffix if suffix in _SUFFIXES else ''}"
        with runs.atomic(self.out / path) as temporary:
            temporary.write_bytes(data)
        return url, "ok", path

    def _download(self, url: str) -> bytes:
        """Return the body, asking again where it breaks off in a way that may pass."""
        retry = self.retry
        while True:
            try:
                with self._ask(url, retry) as response:
                    retry = response.raw.retries or retry  # less what asking has used up
                    return self._body(response)
            except requests.RequestException as error:  # asked as often as it may be
                raise _Failure(_why(error)) from None
            except (urllib3.exceptions.HTTPError, TimeoutError) as error:
                try:
                    retry = retry.increment("GET", url, error=_as_read_error(error))
                except urllib3.exceptions.HTTPError:
                    raise _Failure(_why(error)) from None
                retry.sleep()

    def _ask(self, url: str, retry: urllib3.Retry) -> requests.Response:
        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
            self.local.session.max_redirects = REDIRECTS
            self.local.session.headers["User-Agent"] = f"gramnb/{__version__}"
        adapter = HTTPAdapter(max_retries=retry)
        self.local.session.mount("http://", adapter)
        self.local.session.mount("https://", adapter)
        return self.local.session.get(url, stream=True, timeout=self.timeout)
