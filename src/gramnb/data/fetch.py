"""From WEBEmo's lists of addresses to image files: each once, patiently, safe to interrupt.

An address is asked again when its failure may pass (a timeout, a lost connection, a busy server),
after growing pauses, or after those the server names. What arrives is decoded before it is kept,
and kept as it was sent. Every line of a list gets one status, so the table of attrition adds up.

img2dataset, the usual tool, asks again at once: of 600 images on a host that asks for pauses it got
201 (this: 600). It also calls a page or half a picture a success.
"""

import asyncio
import fcntl
import hashlib
import re
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import aclosing
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx
import pandas as pd

from gramnb import __version__, runs
from gramnb.choices import check_shard
from gramnb.data.cached import cached_map
from gramnb.data.images import MAX_BYTES, SUFFIXES, ImageError, decode
from gramnb.data.lists import EMOTIONS, MALFORMED, read_fetched, read_lists

COLUMNS = ["list", "line", "url", "label", "status", "path"]
RANGES = {"workers": (1, 256), "timeout": (0.1, 3600), "retries": (0, 20)}
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may change
MAY_PASS = {"timeout", "no connection", "truncated", *(f"HTTP {code}" for code in BUSY)}
LONGEST_PAUSE = 60  # seconds between two attempts, whatever the server asks for
REDIRECTS = 10  # followed, not more


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

    `workers` downloads run at once; an attempt may take `timeout` seconds; `retries` more are made
    where they may help.

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
    check_shard(*shard)
    part, parts = shard

    def mine(urls: pd.Series) -> pd.Series:
        return urls.map(lambda url: zlib.crc32(url.encode()) % parts == part - 1).astype(bool)

    table = read_lists([lists] if isinstance(lists, str | Path) else lists)
    table = table[mine(table["url"])].reset_index(drop=True)
    out = runs.resolve(out)
    out.mkdir(parents=True, exist_ok=True)
    file, store = out / "fetch.parquet", out / "fetch.sqlite"
    if file.exists():
        read_fetched(file, COLUMNS)  # refused before any download
    download = _Download(timeout, retries, workers)

    def keep(url: str) -> str:
        """Return what became of an address; the file is written if it is "ok"."""
        try:
            data = download(url)
            decode(data)
        except ImageError as error:
            return error.reason
        with runs.atomic(out / _place(url)) as temporary:
            temporary.write_bytes(data)
        return "ok"

    def settled(url: str, status: str) -> bool:
        there = status != "ok" or (out / _place(url)).is_file()
        return isinstance(status, str) and status not in MAY_PASS and there

    urls = table.loc[table["label"] >= 0, "url"]
    found = cached_map(store, keep, urls, "status", "fetching", progress, settled, workers)
    table["status"] = [found.get(url, MALFORMED) for url in table["url"]]
    table["path"] = table["url"].map(_place).where(table["status"] == "ok", "")
    with open(store, "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another shard may be about to add its rows
        before = read_fetched(file, COLUMNS) if file.exists() else table.head(0)
        old = before["list"].isin(table["list"].unique()) & mine(before["url"])
        whole = pd.concat([before[~old], table[COLUMNS]])
        with runs.atomic(file) as temporary:
            whole.to_parquet(temporary, index=False)
        with runs.atomic(out / "attrition.csv") as temporary:
            attrition(whole).to_csv(temporary)
    return table[COLUMNS]


def _place(url: str) -> str:
    """Return where the image of an address is kept, relative to the folder of them all."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    suffix = PurePosixPath(re.split("[?#]", url)[0]).suffix.lower()
    return f"images/{name[:2]}/{name}{suffix if suffix in SUFFIXES else ''}"


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many lines of `fetch`'s table have each status, "total" last.

    Indexed by status; columns others, sadness, total. Malformed lines are of neither class.
    """
    sadness = EMOTIONS[table["label"]] == "sadness"
    counts = pd.DataFrame({"others": ~sadness & (table["label"] >= 0), "sadness": sadness})
    counts = counts.assign(total=True).groupby(table["status"]).sum()
    counts.loc["total"] = counts.sum()
    return counts


class _Download:
    """From an address to its file's bytes, or an `ImageError` that says why not; for many threads.

    One event loop serves them all. There a whole attempt is granted its time: a socket's own
    timeout begins anew with each byte, so one byte a second never ends. No cookies are kept.
    """

    def __init__(self, timeout: float, retries: int, workers: int):
        self.timeout, self.retries, self.loop = timeout, retries, asyncio.new_event_loop()
        headers = {"User-Agent": f"gramnb/{__version__}"}
        headers["Accept-Encoding"] = "identity"  # images are compressed already
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=workers)
        self.client = httpx.AsyncClient(headers=headers, timeout=None, limits=limits)
        self.client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def __call__(self, url: str) -> bytes:
        for attempt in range(self.retries + 1):
            try:
                return asyncio.run_coroutine_threadsafe(self.get(url), self.loop).result()
            except ImageError as error:
                if attempt == self.retries or error.reason not in MAY_PASS:
                    raise
                # 0, 1, 2, 4 ... seconds, unless the server names a pause
                pause = getattr(error, "pause", 0) or (2**attempt / 2 if attempt else 0)
                time.sleep(min(pause, LONGEST_PAUSE))

    async def get(self, url: str) -> bytes:
        """Return what one attempt brings."""
        try:
            urlsplit(url)  # refuses brackets that httpx would take for a host
            async with asyncio.timeout(self.timeout):
                async with aclosing(await self.answer(url)) as response:
                    return await self.body(response)
        except ImageError:
            raise
        except TimeoutError:
            raise ImageError("timeout", f"not within {self.timeout} s", url) from None
        except httpx.DecodingError as error:
            raise ImageError("truncated", str(error), url) from None
        except httpx.TransportError as error:
            bad = isinstance(error, httpx.UnsupportedProtocol) or "URL" in str(error)
            cut = isinstance(error, httpx.RemoteProtocolError) and "body" in str(error)
            reason = "bad address" if bad else "truncated" if cut else "no connection"
            raise ImageError(reason, str(error), url) from None
        except (httpx.InvalidURL, ValueError, OverflowError, ExceptionGroup) as error:  # port 99999
            raise ImageError("bad address", str(error), url) from None

    async def answer(self, url: str) -> httpx.Response:
        """Return the answer that an address leads to; bodies on the way to it are not read."""
        request = self.client.build_request("GET", url)
        for _ in range(REDIRECTS + 1):
            response = await self.client.send(request, stream=True)
            if not (request := response.next_request):
                return response
            await response.aclose()
        raise ImageError("too many redirects", f"over {REDIRECTS}", url)

    async def body(self, response: httpx.Response) -> bytes:
        """Return the file that an answer holds; of another answer than 200 nothing is read."""
        if response.status_code != 200:
            error = ImageError(f"HTTP {response.status_code}", response.reason_phrase)
            asked = response.headers.get("Retry-After", "")
            error.pause = float(asked) if asked.isdecimal() else 0.0
            raise error
        robots = response.headers.get("X-Robots-Tag", "").lower().replace(":", ",").split(",")
        if {"noai", "noimageai"} & set(map(str.strip, robots)):
            raise ImageError("not allowed", "X-Robots-Tag")
        data = bytearray()
        async for part in response.aiter_bytes():  # some servers compress all the same
            data += part
            if len(data) > MAX_BYTES:
                raise ImageError("too large", f"over {MAX_BYTES} bytes")
        if not data:
            raise ImageError("empty file", "0 bytes")
        return bytes(data)
