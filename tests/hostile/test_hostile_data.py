"""Whatever a list, a manifest, a file's name or its bytes hold: an answer, or one line that says.

Cases made by code go through what reads them; hypothesis looks for what they lack.
"""

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_files import encoded, picture, readable

from gramnb import cli
from gramnb.data import images, manifest, sources
from gramnb.data.lists import audit_list, read_lists

few = settings(max_examples=25, deadline=None)
URL = b"http://127.0.0.1:1/a.jpg"  # where nobody listens

LISTS = {
    "nothing": b"",
    "utf-16": "http://h/a.jpg 3\n".encode("utf-16"),
    "long label": URL + b" " + b"9" * 5000,
    "spaces": URL + b" " * 100_000 + b"x",
}


@pytest.mark.parametrize("command", ["audit-list", "fetch --out {}/out"])
@pytest.mark.parametrize("name", LISTS)
def test_what_is_no_list_is_one_line(name, command, tmp_path, capsys):
    file = tmp_path / "list.txt"
    file.write_bytes(LISTS[name])
    assert cli.main([*command.format(tmp_path).split(), str(file)]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"gramnb {command.split()[0]}: {file}: no list") and not said.out
    assert list(tmp_path.iterdir()) == [file]


def test_a_table_that_is_no_manifest_is_refused(tmp_path):
    """Ours once, with columns of other types, without them, with other metadata; or no table."""
    file = tmp_path / "m.parquet"
    rows = {"sadness": [0, 1, 0, 1], "image_id": list("abcd"), "split": "train"}
    good = pq.read_table(manifest.write(manifest.new(rows), file, {}))

    def changed(name, values):
        return good.set_column(good.schema.get_field_index(name), name, pa.array(values))

    for table, message in (
        (changed("sadness", [0.0, 1.0, float("nan"), 0.0]), "row 2: sadness is 'nan'"),
        (changed("path", [["a"], ["b"], [], None]), ""),
        (good.select(["path"]), "row"),
        (good.replace_schema_metadata({"gramnb": b"\xff{"}), ""),
        (None, ""),
    ):
        file.write_bytes(b"")
        if table:
            pq.write_table(table, file)
        with pytest.raises(ValueError) as caught:
            manifest.read(file)
        said = str(caught.value)
        assert said.startswith(f"{file}: not a manifest") and message in said
        assert "\n" not in said and len(said) < 500


@few
@given(st.lists(st.one_of(st.binary(max_size=40), st.just(URL + b" 3"), st.just(URL + b"\xe9 19"))))
def test_any_list_is_refused_or_read_line_by_line(lines):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "list.txt"
        file.write_bytes(b"\n".join(lines))
        try:
            listed = read_lists([file])
        except ValueError as error:
            assert str(error).startswith(f"{file}: no list")
        else:
            good = listed[listed["label"] >= 0]
            assert len(good) == sum(1 for x in file.read_bytes().split(b"\n") if b"http" in x)
            assert listed["label"].between(-1, 24).all() and listed["line"].is_unique
            assert audit_list([file])["together"]["lines"] == len(good)


texts = st.text(st.characters(codec="utf-8"), max_size=8)
rows = st.builds(
    dict, label=texts, url=texts, sadness=st.sampled_from([0, 1]), width=st.integers(0, 2**31 - 1),
    text_fraction=st.floats(0, 1, width=32), dropped=st.sampled_from(["", *manifest.REASONS]),
)  # fmt: skip


@few
@given(st.lists(rows, min_size=1), st.dictionaries(texts, texts))
def test_any_manifest_is_read_as_it_was_written(given_rows, recipe):
    table = manifest.new(given_rows)
    with tempfile.TemporaryDirectory() as folder:
        read = manifest.read(manifest.write(table, Path(folder) / "m.parquet", recipe))
    assert read.equals(table) and read.attrs["recipe"] == recipe
    counts = manifest.attrition(read)["total"]
    assert counts["listed"] == len(table) == counts.drop("listed").sum()


@few
@given(st.data())
def test_a_damaged_manifest_is_refused_or_read(data):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.parquet"
        manifest.write(manifest.new({"sadness": [0, 1] * 50}), file, {})
        content = bytearray(file.read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
            content[place] = data.draw(st.integers(0, 255))
        file.write_bytes(content)
        try:
            assert manifest.read(file)["sadness"].isin([0, 1]).all()
        except ValueError as error:
            assert str(error).startswith(f"{file}: ") and "\n" not in str(error)


@few
@given(st.binary(min_size=1, max_size=30))
def test_any_name_of_a_file_is_read_or_named(name):
    """In a class folder, an odd name that no table can hold is left out with a word."""
    name = bytes(byte for byte in name if byte not in b"/\0").strip(b".") or b"x"
    with tempfile.TemporaryDirectory() as folder:
        for label in ("sad", "happy"):
            (Path(folder) / label).mkdir()
            picture().save(Path(folder) / label / "a.png")
        path = os.path.join(os.fsencode(folder), b"sad", name)
        with open(path, "wb") as file:
            file.write(encoded(picture()))
        assert os.fsdecode(path) in images.find_pictures(folder).pictures
        assert images.read_image(os.fsdecode(path)).shape == (32, 48, 3)
        table = sources.read("folder", folder, ["sad"])
        report = "".join(table.attrs["report"])
        assert len(table) + ("no Unicode, left out: 1" in report) == 3 and report.isprintable()
        read = manifest.read(manifest.write(table, Path(folder) / "m.parquet", {}))
        assert read["path"].equals(table["path"])


PICTURES = {name: content for name, (content, _) in readable().items()}
PICTURES |= {kind: encoded(picture(), kind) for kind in ("GIF", "WEBP", "BMP")}


@settings(few, max_examples=100)
@given(st.data(), st.sampled_from(sorted(PICTURES)))
def test_any_damage_to_a_picture_is_refused_or_read(data, name):
    content = bytearray(PICTURES[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        assert images.decode(bytes(content), name=name).shape[2] == 3
    except images.ImageError as error:
        assert error.reason in images.REASONS
