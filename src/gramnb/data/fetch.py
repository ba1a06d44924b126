"""From WEBEmo's lists of addresses to image files: each once, patiently, safe to interrupt.

An address is asked again when its failure may pass (a timeout, a lost connection, a busy server),
after growing pauses, or after those the server names. What arrives is decoded before it is kept,
and kept as it was sent, where `lists.place` says. Every line of a list gets one status.

img2dataset, the usual tool, asks again at once: of 600 images on a host that asks for pauses it got
201 (this: 600). It also calls a page or half a picture a success.
"""

import asyncio
import fcntl
import re
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pandas as pd

from gramnb import __version__, runs
from gramnb.choices import check_shard
from gramnb.data.cached import cached_map
from gramnb.data.images import MAX_BYTES, ImageError, decode
from gramnb.data.lists import CATEGORIES, MALFORMED, place, read_lists

COLUMNS = ["list", "line", "url", "label", "status", "path"]
RANGES = {"workers": (1, 100), "timeout": (0.1, 3600), "retries": (0, 20)}
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may change
MAY_PASS = {"timeout", "no connection", "truncated", *(f"HTTP {code}" for code in BUSY)}
LONGEST_PAUSE = 60  # seconds between two attempts, whatever the server asks for
REDIRECTS = 10  # followed, not more
FAILURES = {  # what the name or the message of httpx's error holds -> the status
    "DecodingError|message body": "truncated",
    "UnsupportedProtocol|Invalid URL": "bad address",
    "": "no connection",
}
NOT_ASKED = "not asked yet"  # status of an address that another shard has still to ask


def fetch(
    lists: Sequence[str | Path],
    out: str | Path,
    workers: int = 16,
    timeout: float = 10.0,
    retries: int = 3,
    progress: bool = True,
    shard: tuple[int, int] = (1, 1),
) -> pd.DataFrame:
    """Download the images of one list or more into `out`; return one row a line, in their order.

    Columns: list (its file name), line, url, label (0-24), status, path (relative to `out`, empty
    unless the status is "ok"). Other statuses: HTTP 404 and the like, "timeout", "too many
    redirects", those of `FAILURES`, "not allowed" (the server forbids use in machine learning), the
    reasons of `images.ImageError`, "malformed line" and, of another shard's addresses, "not asked
    yet".

    `workers` downloads run at once; an attempt may take `timeout` seconds; `retries` more are made
    where they may help. `shard` (i, n) means the i-th of n parts, by address; processes may fetch
    into one folder at once, and the last of them writes the table of all.

    Writes `images/`, `fetch.parquet` (the table), `attrition.csv` (`attrition` of the table) and
    `fetch.sqlite` (the statuses). Called again, it asks only for what is not settled.

    Raises:
        FileNotFoundError: there is no such list.
        OSError: no room on the disk; what has arrived is kept.
        ValueError: a file that is no list, two of one name, an option outside its range, or a
            `fetch.sqlite` of something else.
    """
    for name, value in {"workers": workers, "timeout": timeout, "retries": retries}.items():
        low, high = RANGES[name]
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, got {value}")
    check_shard(*shard)
    part, parts = shard
    table = read_lists(lists)
    urls = table["url"][table["label"] >= 0].unique()
    out = runs.resolve(out)
    out.mkdir(parents=True, exist_ok=True)
    store = out / "fetch.sqlite"
    download = _Download(timeout, retries)

    def keep(url: str) -> str:
        """Return what became of an address; the file is written if it is "ok"."""
        try:
            data = download(url)
            decode(data)
        except ImageError as error:
            return error.reason
        with runs.atomic(out / place(url)) as temporary:
            temporary.write_bytes(data)
        return "ok"

    def settled(url: str, status: str) -> bool:
        there = status != "ok" or (out / place(url)).is_file()
        return there and isinstance(status, str) and status not in MAY_PASS

    mine = [url for url in urls if zlib.crc32(url.encode()) % parts == part - 1]
    cached_map(store, keep, mine, "status", "fetching", progress, settled, workers)
    with open(out / "fetch.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another shard may be about to write what it knows
        known = cached_map(store, lambda url: None, urls, "status", "", progress=False)
        asked = table["url"].map(known).fillna(NOT_ASKED)
        table["status"] = asked.where(table["label"] >= 0, MALFORMED)
        table["path"] = table["url"].map(place).where(table["status"] == "ok", "")
        with runs.atomic(out / "fetch.parquet") as temporary:
            table[COLUMNS].to_parquet(temporary, index=False)
        with runs.atomic(out / "attrition.csv") as temporary:
            attrition(table).to_csv(temporary)
    return table[COLUMNS]


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many lines of `fetch`'s table have each status, "total" last.

    Indexed by status; columns others (and malformed lines), sadness, total.
    """
    sadness = table["label"].map(CATEGORIES["emotion"]) == "sadness"
    classes = sadness.map({False: "others", True: "sadness"}).rename("class")
    return pd.crosstab(table["status"], classes, margins=True, margins_name="total")


class _Download:
    """From an address to its file's bytes, or an `ImageError` that says why not; for many threads.

    One event loop serves them all, since there a whole attempt can be granted its time: a socket's
    own timeout begins anew with each byte.
    """

    def __init__(self, timeout: float, retries: int):
        self.timeout, self.retries, self.loop = timeout, retries, asyncio.new_event_loop()
        # images are compressed already
        headers = {"User-Agent": f"gramnb/{__version__}", "Accept-Encoding": "identity"}
        self.client = httpx.AsyncClient(headers=headers, timeout=None)
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
        """Return what one attempt brings; of another answer than 200 nothing is read."""
        try:
            urlsplit(url)  # refuses brackets that httpx would take for a host
            async with asyncio.timeout(self.timeout), aclosing(await self.answer(url)) as response:
                if response.status_code != 200:
                    error = ImageError(f"HTTP {response.status_code}", response.reason_phrase, url)
                    asked = response.headers.get("Retry-After", "")
                    error.pause = float(asked) if asked.isdecimal() else 0.0
                    raise error
                robots = response.headers.get("X-Robots-Tag", "")
                if re.search(r"\bno(image)?ai\b", robots, re.IGNORECASE):
                    raise ImageError("not allowed", f"X-Robots-Tag: {robots}", url)
                data = bytearray()
                async for part in response.aiter_bytes():  # some servers compress all the same
                    data += part
                    if len(data) > MAX_BYTES:
                        raise ImageError("too large", f"over {MAX_BYTES} bytes", url)
                return bytes(data)
        except ImageError:
            raise
        except TimeoutError:
            raise ImageError("timeout", f"not within {self.timeout} s", url) from None
        except httpx.HTTPError as error:
            reason = next(FAILURES[x] for x in FAILURES if re.search(x, repr(error)))
            raise ImageError(reason, str(error), url) from None
        except (httpx.InvalidURL, ValueError, OverflowError, ExceptionGroup) as error:  # port 99999
            raise ImageError("bad address", str(error), url) from None

    async def answer(self, url: str) -> httpx.Response:
        """Return the answer an address leads to; bodies on the way may have no end: not read."""
        request = self.client.build_request("GET", url)
        for _ in range(REDIRECTS + 1):
            response = await self.client.send(request, stream=True)
            if not (request := response.next_request):
                return response
            await response.aclose()
        raise ImageError("too many redirects", f"over {REDIRECTS}", url)
