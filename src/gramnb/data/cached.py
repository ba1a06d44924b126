"""One parallel map that remembers: what was found of many keys, kept in an SQLite file.

Values are committed as they come, so an interrupted pass goes on where it was, and two passes may
share a file. Threads do the work: Pillow, ONNX Runtime, OpenCV and a waiting socket leave Python's
lock to others.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

COMMIT = 200  # values between two commits, so about what a killed pass loses


def cached_map(
    file: Path,
    look: Callable[[str, dict], dict],
    keys: Iterable[str],
    readers: Sequence[str],
    title: str,
    settled: Callable[[Any], bool] = lambda value: True,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, dict]:
    """Return key -> reader -> value, from the file and, where a reader lacks, from `look`.

    Args:
        file: of SQLite; made if it is not there.
        look: called by many threads with a key and what is known of it; returns what is new, by
            reader. What it leaves out is asked again next time.
        keys: one call of `look` each.
        readers: what a value depends on beside its key; another version is another reader.
        title: of the progress bar.
        settled: whether a kept value still holds; one that does not is asked again.
        workers: threads; None means one a core.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the file cannot be used.
    """
    known, fresh = {key: {} for key in keys}, []
    try:
        with closing(sqlite3.connect(file, timeout=60)) as store:
            columns = "reader text, key text, value text, primary key (reader, key)"
            store.execute(f"create table if not exists found ({columns}) without rowid")
            for reader in readers:
                rows = store.execute("select key, value from found where reader = ?", [reader])
                for key, text in rows:  # what is damaged is asked again
                    with suppress(ValueError, TypeError, LookupError, RecursionError):
                        if key in known and settled(value := json.loads(text)):
                            known[key][reader] = value
            todo = [key for key, values in known.items() if len(values) < len(readers)]
            bar = tqdm(None, title, len(todo), unit="file", disable=not (progress and todo))
            with ThreadPool(workers or os.cpu_count()) as pool, bar:
                try:
                    work = pool.imap_unordered(lambda key: (key, look(key, known[key])), todo)
                    for key, new in work:
                        known[key].update(new)
                        fresh += [(name, key, json.dumps(value)) for name, value in new.items()]
                        bar.update()
                        if len(fresh) >= COMMIT:
                            _commit(store, fresh)
                finally:
                    _commit(store, fresh)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{file}: {error}; remove it if damaged, make room if full") from None
    return known


def _commit(store: sqlite3.Connection, fresh: list[tuple[str, str, str]]) -> None:
    with store:
        store.executemany("insert or replace into found values (?, ?, ?)", fresh)
    fresh.clear()
