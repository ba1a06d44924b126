"""WEBEmo's label table, lists of addresses, and what they contradict, counted by hand."""

import json

import pytest
from conftest import ROOT

from gramnb import cli
from gramnb.data import lists
from gramnb.data.lists import CATEGORIES, audit_list, read_lists

A, B, C, D = (f"http://host/{name}.jpg" for name in "abcd")
TRAIN = f"{A} 19\n{A} 0\n{B} 3\n{B} 3\n{C} 4\n{C} 19\n{D} 24\n"  # a: both; c: two kinds of sadness
TEST = f"{A} 19\nhttps://host/new.jpg 2\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_label_table_is_webemos():
    assert list(CATEGORIES.index) == list(range(25)) and CATEGORIES["name"].is_unique
    assert list(CATEGORIES.query("emotion == 'sadness'").index) == [4, 13, 19, 20, 21, 23]


def test_addresses_are_kept_as_bytes(tmp_path):
    """Latin-1 and UTF-8 stand for themselves, as they are asked for; no two become one."""
    path = tmp_path / "list.txt"
    path.write_bytes(b"http://h/\xe9.jpg 1\nhttp://h/\xe8.jpg 2\nhttp://h/\xc3\xa9.jpg 3\n")
    urls = ["http://h/%E9.jpg", "http://h/%E8.jpg", "http://h/\u00e9.jpg"]
    assert list(read_lists([path])["url"]) == urls
    assert audit_list([path])["together"]["distinct_urls"] == 3


def test_a_malformed_line_is_a_row_without_an_address(tmp_path):
    odd = f"{B}\n{C} 25\nftp://host/x.jpg 3\n{D} -1\n{D} two words\n{D} ²\n"
    path = write(tmp_path / "list.txt", f"\ufeff{A} 19\r\n\n  {odd}{D}\t7\n")
    listed = read_lists([path])
    assert listed.to_dict("list") == {
        "line": [1, *range(3, 10)], "url": [A, *[""] * 6, D], "label": [19, *[-1] * 6, 7],
        "list": ["list.txt"] * 8, "name": ["sadness", *[""] * 6, "envy"],
        "emotion": ["sadness", *[""] * 6, "anger"],
    }  # fmt: skip
    counts = audit_list([path])["list.txt"]
    assert counts["lines"] == 2 and counts["malformed_lines"] == 6
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        read_lists([tmp_path / "absent.txt"])


def test_the_audit_counts_what_was_planted(tmp_path, capsys):
    paths = [write(tmp_path / "train25.txt", TRAIN * 300), write(tmp_path / "test25.txt", TEST)]
    counts = audit_list(paths)
    assert {name: n for name, n in counts["train25.txt"].items() if n} == {
        "lines": 2100,
        "distinct_urls": 4,
        "conflicting_urls": 2,
        "sadness_conflicts": 1,
        "accuracy_ceiling": 6 / 7,  # of the two lines for a, one must be wrong
        "affection": 300, "contentment": 600, "disappointment": 300, "sadness": 600, "zest": 300,
    }  # fmt: skip
    both = counts["together"]
    assert both["overlap"] == 1 and both["distinct_urls"] == 5 and both["confusion"] == 1
    assert both["accuracy_ceiling"] == pytest.approx(1802 / 2102)  # a: 301 times sadness, 300 not
    assert cli.main(["audit-list", *map(str, paths)]) == 0
    assert json.loads(capsys.readouterr().out) == counts
    with pytest.raises(ValueError, match="same file name"):
        audit_list([paths[0], paths[0]])


def test_nineteen_subsets_of_labels_could_be_the_papers_sadness():
    recorded = json.loads((ROOT / "results/webemo_list/audit.json").read_text())
    lines = {label: recorded["test25.txt"][label] for label in CATEGORIES["name"]}
    found = lists.sadness_subsets(lines)
    assert len(found) == 19 and found["lost"].between(0, 0.3).all()
