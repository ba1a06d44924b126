"""What a server on this machine hands out, well and badly, ends in the table line by line."""

import errno
import gzip
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from odd_files import encoded, picture

from gramnb import cli
from gramnb.data import fetch

LIMIT = 1.0  # seconds that an attempt may take, where one takes longer
HTML = b"<!doctype html><html>removed</html>"
GZIP = {"Content-Encoding": "gzip"}
KINDS = {  # the status it ends with; code, content (or what is done to a picture's bytes), headers
    "good": ("ok", 200, bytes, {}),
    # {} is the number asked for; a body on the way, here announced and never sent, stays unread
    "moved": ("ok", 302, b"", {"Location": "/good/{}.jpg", "Content-Length": 9000}),
    "zipped": ("ok", 200, gzip.compress, GZIP),  # though nobody asked for it
    "busy": ("ok", 429, b"", {"Retry-After": 1}),
    "strange": ("ok", 429, b"", {"Retry-After": "nonsense"}),
    "breaks": ("ok", 200, lambda data: data[:600], {"Content-Length": 9000}),
    "truncated": ("truncated", 200, lambda data: data[:600], {"Content-Length": 9000}),
    "half": ("truncated", 200, lambda data: data[: len(data) // 2], {}),
    "mislabelled": ("truncated", 200, bytes, GZIP),
    "gone": ("HTTP 404", 404, HTML, {}),
    "broken": ("HTTP 503", 503, b"", {}),
    "page": ("not an image", 200, HTML, {"Content-Type": "image/jpeg"}),
    "empty": ("empty file", 200, b"", {}),
    "refused": ("not allowed", 200, bytes, {"X-Robots-Tag": "noindex, noai"}),
    "nowhere": ("bad address", 302, b"", {"Location": "http://[::1"}),
    "circles": ("too many redirects", 302, b"", {"Location": "/circles/{}0.jpg"}),
    "hangup": ("no connection", 0, b"", {}),
    "header": ("timeout", 0, b"X-Long: ", {}),  # and what is begun is dripped, without an end
    "body": ("timeout", 0, b"Content-Length: 100\r\n\r\n", {}),
}
ONCE = ("busy", "strange", "breaks")  # then good


def jpeg(number):
    """A picture of its own for each number."""
    return encoded(picture(60 + int(number), 40), "JPEG")


class Handler(BaseHTTPRequestHandler):
    """Answers /<kind>/<number>.jpg as the kind says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.hits[self.path] += 1
        kind, number = self.path.removesuffix(".jpg").split("/")[1:]
        time.sleep(0.03 if kind == "calm" else 0)
        if kind == "calm" or (kind in ONCE and self.server.hits[self.path] > 1):
            kind = "good"
        _, code, content, headers = KINDS[kind]
        self.close_connection = not code or "Content-Length" in headers
        with suppress(OSError):  # the other side has left
            if code:
                self.answer(number, code, content, headers)
            elif content:
                for part in (b"HTTP/1.1 200 OK\r\n" + content, *[b"0"] * 15):
                    self.wfile.write(part)
                    time.sleep(LIMIT / 6)

    def answer(self, number, code, content, headers):
        content = content(jpeg(number)) if callable(content) else content
        self.send_response(code)
        for name, value in ({"Content-Length": len(content)} | headers).items():
            self.send_header(name, str(value).format(number))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # all may come at once


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.hits, server.url = Counter(), f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=[0.05]).start()
        yield server
        server.shutdown()


@pytest.fixture
def fetched(server, tmp_path):
    """Write a list of what the server is asked for, and fetch it; without any the list again."""
    listed = tmp_path / "train25.txt"

    def run(lines=(), out="out", **options):
        if lines:
            urls = [x if ":" in x or " " in x else f"{server.url}/{x}.jpg" for x in lines]
            listed.write_text("".join(f"{url} {n % 25}\n" for n, url in enumerate(urls)))
        options = {"retries": 0, "progress": False} | options
        return fetch.fetch([listed], tmp_path / out, **options)

    return run


def test_every_line_gets_its_status(server, fetched, tmp_path):
    with socket.socket() as unused:  # a port where nobody listens
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/1.jpg"
        lines = [f"{kind}/{n}" for n, kind in enumerate(KINDS)]
        odd = ["http://[broken/1.jpg", "http://127.0.0.1:99999/1.jpg"]
        lines += [nobody, *odd, lines[0], "no address"]
        table = fetched(lines, workers=32, timeout=LIMIT, retries=1)
    ends = ["no connection", *["bad address"] * 2, "ok", "malformed line"]
    assert table["status"].tolist() == [*(status for status, *_ in KINDS.values()), *ends]
    assert table["url"].tolist()[-5:] == [nobody, *odd, f"{server.url}/good/0.jpg", ""]
    assert table["line"].tolist() == list(range(1, len(table) + 1))
    assert table["label"].tolist() == [*(n % 25 for n in range(len(table) - 1)), -1]

    arrived = table[table["status"] == "ok"]
    for row in arrived.itertuples():
        content = (tmp_path / "out" / row.path).read_bytes()
        assert content == jpeg(0 if row.line == len(table) - 1 else row.line - 1)  # as it was sent
    assert (table.loc[table["status"] != "ok", "path"] == "").all()
    assert len(list((tmp_path / "out" / "images").rglob("*.*"))) == 6

    counts = fetch.attrition(table)
    assert counts.loc["ok", "total"] == 7 and counts.loc["total", "total"] == len(table) == 24
    assert counts.loc["malformed line"].tolist() == [1, 0, 1]
    assert counts.loc["total", "sadness"] == 5  # 4, 13, 19, 20, 21
    written = pd.read_csv(tmp_path / "out" / "attrition.csv", index_col="status")
    pd.testing.assert_frame_equal(written, counts, check_names=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "fetch.parquet"), table)

    hits = {path.split("/")[1]: n for path, n in server.hits.items()}
    assert hits["gone"] == hits["page"] == hits["refused"] == 1  # no use asking again
    assert hits["broken"] == hits["truncated"] == hits["hangup"] == hits["body"] == 2
    assert server.hits["/good/0.jpg"] == 1  # listed twice


def test_what_is_settled_is_not_asked_again(server, fetched, tmp_path):
    lines = ["good/0", "gone/1", "page/2", "broken/3", "hangup/4"]
    first = fetched(lines)

    def hits():
        pd.testing.assert_frame_equal(first, fetched())
        return [server.hits[f"/{x}.jpg"] for x in lines]

    assert hits() == [1, 1, 1, 2, 2]
    with sqlite3.connect(tmp_path / "out" / "fetch.sqlite") as store:  # damaged: asked again
        store.execute("update found set value = '5' where key = ?", [first["url"][1]])
        store.execute("update found set value = 'garbage' where key = ?", [first["url"][2]])
    assert hits() == [1, 2, 2, 3, 3]
    (tmp_path / "out" / first["path"][0]).unlink()
    assert hits() == [2, 2, 2, 4, 4] and (tmp_path / "out" / first["path"][0]).is_file()


def test_shards_in_one_folder_lose_no_row(server, fetched, tmp_path):
    alone = fetched([f"{'gone' if n % 5 == 0 else 'good'}/{n % 30}" for n in range(40)], "alone")
    server.hits.clear()
    command = ["fetch", str(tmp_path / "train25.txt"), "--out", str(tmp_path / "out"), "--shard"]
    assert cli.main([*command, "1/3"]) == 0
    written = pd.read_parquet(tmp_path / "out" / "fetch.parquet")
    assert len(written) == 40 and 0 < (written["status"] == "not asked yet").sum() < 40
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda n: cli.main([*command, f"{n}/3"]), (1, 2, 3))) == [0, 0, 0]
    assert max(server.hits.values()) == 1 and len(server.hits) == 30  # no address asked twice
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "fetch.parquet"), alone)
    with pytest.raises(ValueError, match="shard must be I/N, I from 1 to N, got 4/3"):
        fetched(shard=(4, 3))


def test_a_killed_run_ends_with_the_same_result(server, fetched, tmp_path):
    alone = fetched([f"{'gone' if n % 7 == 0 else 'calm'}/{n}" for n in range(60)], "alone")
    server.hits.clear()
    script = "import sys; from gramnb.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "fetch", tmp_path / "train25.txt", "--workers", "2"]
    running = subprocess.Popen([*command, "--out", tmp_path / "out"], stderr=subprocess.DEVNULL)
    while sum(server.hits.values()) < 20 and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    assert running.wait(timeout=30) != 0
    time.sleep(0.2)  # the server may still be answering
    assert 20 <= len(server.hits) < 60 and not (tmp_path / "out" / "fetch.parquet").exists()
    pd.testing.assert_frame_equal(fetched(), alone)
    for path in alone.loc[alone["status"] == "ok", "path"]:
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "alone" / path).read_bytes()


def test_a_disk_that_is_full_loses_nothing(server, fetched, tmp_path, monkeypatch):
    """At the first picture, and at the table; the same command goes on."""
    rename, lines = os.replace, [f"good/{n}" for n in range(5)]
    for full in ("3", "fetch.parquet", "attrition.csv"):

        def replace(source, target, full=full):
            if (full == "3" and server.hits[f"/good/{full}.jpg"]) or target.name == full:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            return rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(OSError, match="No space left"):
                fetched(lines, workers=1)
        assert not [x for x in (tmp_path / "out").rglob(".*")]
    assert (fetched(workers=1)["status"] == "ok").all()
    assert [server.hits[f"/good/{n}.jpg"] for n in range(3)] == [1, 1, 1]


def test_a_journal_of_something_else_says_so(fetched, tmp_path):
    (tmp_path / "fetch.sqlite").write_text("this is no database, only a note" * 40)
    with pytest.raises(ValueError, match="fetch.sqlite: file is not a database; remove it"):
        fetched(["gone/1"], out="")


@pytest.mark.parametrize("option", [{"timeout": float("nan")}, {"workers": 10_000}])
def test_options_outside_their_range_are_refused_before_anything_is_written(tmp_path, option):
    with pytest.raises(ValueError, match="^(timeout|workers) must be from .* to .*, got"):
        fetch.fetch([tmp_path / "a.txt"], tmp_path / "out", **option)
    assert not list(tmp_path.iterdir())
