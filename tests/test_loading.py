"""A model's file is data: none of the code that it brings or names is run."""

import json
import sys
import zipfile

import pytest

from gramnb._keras import keras, load_model
from gramnb.config import TrainConfig
from gramnb.networks import load_network
from gramnb.runs import Run, write_json


@pytest.fixture
def witness(tmp_path):
    """A file that code in a model's file would write."""
    return tmp_path / "witness"


def with_lambda(file, witness):
    """Write a model whose Lambda layer writes the witness."""
    path = str(witness)
    layer = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Sequential([keras.Input((2,)), layer]).save(file)
    assert witness.exists()  # it does, when it is built
    witness.unlink()


def with_foreign_module(file, witness):
    """Write a model one of whose layers is in a module that writes the witness when imported."""
    (witness.parent / "foreign.py").write_text(f"open({str(witness)!r}, 'w').close()")
    plain = file.with_name("plain.keras")
    keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]).save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = json.loads(data)
                layer = config["config"]["layers"][1]
                assert layer["class_name"] == "ReLU"
                layer |= {"module": "foreign", "registered_name": "foreign>ReLU"}
                data = json.dumps(config).encode()
            target.writestr(name, data)


def as_model(file):
    load_model(file)


def as_run(file):
    run = Run(file.parent)
    config = TrainConfig(backbone="EfficientNetLite0", frozen=True)
    write_json(run.path / "config.json", config.model_dump(mode="json"))
    load_network(run)


@pytest.mark.parametrize("load", [as_model, as_run])
@pytest.mark.parametrize("write", [with_lambda, with_foreign_module])
def test_code_in_a_file_is_refused_and_not_run(write, load, tmp_path, witness, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "model.keras"
    write(file, witness)
    with pytest.raises(ValueError, match="model.keras: no") as error:
        load(file)
    assert "\n" not in str(error.value)
    assert not witness.exists() and "foreign" not in sys.modules
