"""One parallel map that remembers: what was found of many keys, kept in an SQLite file.

Values are committed as they come, so an interrupted pass goes on where it was, and two passes may
share a file. Threads do the work: Pillow, ONNX Runtime, OpenCV and a waiting socket leave Python's
lock to others.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

COMMIT = 200  # values between two commits, so about what a killed pass loses


def cached_map(
    file: Path,
    look: Callable[[str], Any],
    keys: Iterable[str],
    reader: str,
    title: str,
    progress: bool = True,
    settled: Callable[[str, Any], bool] = lambda key, value: True,
    workers: int | None = None,
) -> dict[str, Any]:
    """Return key -> value, from the file or else from `look`.

    Args:
        file: of SQLite; made if it is not there.
        look: called once a key by many threads; None is not kept, and asked again next time.
        keys: what to look at.
        reader: what a value depends on beside its key; another version is another reader.
        title: of the bar that `progress` shows.
        settled: whether the value kept of a key still holds; if not, it is asked again.
        workers: threads; None means one a core.

    Raises:
        ValueError: the file cannot be used.
    """
    keys, found, fresh = dict.fromkeys(keys), {}, []

    def commit() -> None:
        with store:
            store.executemany("insert or replace into found values (?, ?, ?)", fresh)
        fresh.clear()

    try:
        with closing(sqlite3.connect(file, timeout=60)) as store:
            columns = "reader text, key text, value text, primary key (reader, key)"
            store.execute(f"create table if not exists found ({columns}) without rowid")
            rows = store.execute("select key, value from found where reader = ?", [reader])
            for key, text in rows:  # what is damaged is asked again
                with suppress(ValueError, TypeError, LookupError, RecursionError):
                    if key in keys and settled(key, value := json.loads(text)):
                        found[key] = value
            todo = [key for key in keys if key not in found]
            bar = tqdm(None, title, len(todo), unit="file", disable=not (progress and todo))
            with ThreadPool(workers or os.cpu_count()) as pool, bar:
                try:
                    for key, value in pool.imap_unordered(lambda key: (key, look(key)), todo):
                        bar.update()
                        if value is not None:
                            found[key] = value
                            fresh.append((reader, key, json.dumps(value)))
                        if len(fresh) >= COMMIT:
                            commit()
                finally:
                    commit()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{file}: {error}; remove it if damaged, make room if full") from None
    return found
