"""WEBEmo's label table, lists of addresses, and what they contradict, counted by hand."""

import json

import pytest

from gramnb import cli
from gramnb.data import lists
from gramnb.data.lists import CATEGORIES, SADNESS, audit_list, read_lists
from gramnb.runs import resolve

A, B, C, D = (f"http://host/{name}.jpg" for name in "abcd")
TRAIN = f"{A} 19\n{A} 0\n{B} 3\n{B} 3\n{C} 4\n{C} 19\n{D} 24\n"  # a: both; c: two kinds of sadness
TEST = f"{A} 19\nhttps://host/new.jpg 2\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_label_table_is_webemos():
    names, emotions = zip(*CATEGORIES, strict=True)
    assert len(CATEGORIES) == 25 == len(set(names))
    sadness = [number for number, emotion in enumerate(emotions) if emotion == "sadness"]
    assert sadness == [4, 13, 19, 20, 21, 23]
    assert names[1] == "cheerfullness" and names[11] == "irritabilty"  # as published


def test_reads_lines_with_their_numbers(tmp_path):
    text = "\ufeff" + f"{A} 19\r\n\n  {B}\t0\n"
    listed = read_lists([write(tmp_path / "list.txt", text)])
    assert listed.to_dict("list") == {
        "line": [1, 3], "url": [A, B], "label": [19, 0], "list": ["list.txt"] * 2
    }  # fmt: skip


def test_addresses_are_kept_as_bytes(tmp_path):
    """Latin-1 and UTF-8 stand for themselves, as they are asked for; no two become one."""
    path = tmp_path / "list.txt"
    path.write_bytes(b"http://h/\xe9.jpg 1\nhttp://h/\xe8.jpg 2\nhttp://h/\xc3\xa9.jpg 3\n")
    urls = ["http://h/%E9.jpg", "http://h/%E8.jpg", "http://h/\u00e9.jpg"]
    assert list(read_lists([path])["url"]) == urls
    assert audit_list([path])["distinct_urls"] == 3


def test_a_malformed_line_is_a_row_without_an_address(tmp_path):
    text = f"{A} 19\n{B}\n{C} 25\nftp://host/x.jpg 3\n{D} -1\n{D} two words\n{D} ²\n{D} 7\n"
    path = write(tmp_path / "list.txt", text)
    listed = read_lists([path])
    assert list(listed["url"]) == [A, *[""] * 6, D] and list(listed["line"]) == list(range(1, 9))
    assert list(listed["label"]) == [19, *[-1] * 6, 7]
    counts = audit_list([path])
    assert counts["lines"] == 2 and counts["malformed_lines"] == 6
    assert counts["lists"]["list.txt"]["lines"] == 2 == sum(counts["labels"].values())
    for content in ("\n", "x\x1b[2J\n" * 40):
        with pytest.raises(ValueError, match="none.txt: no list: no line of it is a URL and a la"):
            read_lists([write(tmp_path / "none.txt", content)])
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        read_lists([tmp_path / "absent.txt"])


def test_audit_counts_what_was_planted(tmp_path):
    counts = audit_list([write(tmp_path / "train25.txt", TRAIN)])
    labels = {name: n for name, n in counts.pop("labels").items() if n}
    assert labels == {"affection": 1, "contentment": 2, "disappointment": 1, "sadness": 2,
                      "zest": 1}  # fmt: skip
    assert counts.pop("lists") == {"train25.txt": counts}
    assert counts == {
        "lines": 7,
        "distinct_urls": 4,
        "conflicting_urls": 2,
        "sadness_conflicts": 1,
        "accuracy_ceiling": 6 / 7,  # of the two lines for a, one must be wrong
    }


def test_audit_and_report_of_two_lists_find_the_overlap(tmp_path, capsys):
    paths = [write(tmp_path / "train25.txt", TRAIN * 300), write(tmp_path / "test25.txt", TEST)]
    counts = audit_list(paths)
    assert counts["overlap"] == 1 and counts["distinct_urls"] == 5
    assert counts["lists"]["test25.txt"]["sadness_conflicts"] == 0
    assert counts["accuracy_ceiling"] == pytest.approx(1802 / 2102)  # a: 301 times sadness, 300 not
    lines = lists.audit_report(counts).splitlines()
    assert lines[0].split() == ["train25.txt", "test25.txt", "together"]
    assert lines[1].split() == ["lines", "2,100", "2", "2,102"]
    assert lines[6].split() == ["overlap", "1"]
    assert lines[-1].split() == ["zest", "joy", "300"]
    assert "together" not in lists.audit_report(audit_list(paths[:1]))
    assert cli.main(["audit-list", *map(str, paths)]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    with pytest.raises(ValueError, match="same file name"):
        audit_list([paths[0], paths[0]])


def test_nineteen_subsets_of_labels_could_be_the_papers_sadness():
    """It keeps 28,059 sadness images of 220,854 retrieved; a label's share of the list is known."""
    recorded = json.loads((resolve("results/webemo_list") / "audit.json").read_text())
    found = lists.sadness_subsets(recorded["labels"]).set_index("labels")
    assert len(found) == 19 and found["lost"].between(0, 0.3).all()
    one = found.loc["sadness, suffering"]
    assert one["lines"] == 4715 + 2380 and one["images"] == round(7095 / 53_489 * 220_854)
    assert one["lost"] == pytest.approx(1 - 28_059 / one["images"])
    assert "sadness" not in found.index  # about 19,500 images: too few
    every = lists.sadness_subsets(recorded["labels"], most_lost=1).set_index("labels")
    assert every.loc[", ".join(SADNESS), "lost"] == pytest.approx(0.503, abs=0.001)
