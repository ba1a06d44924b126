"""A model's file is data: none of the code that it brings or names is run."""

import json
import sys
import zipfile

import pytest

from gramnb._keras import keras, load_model
from gramnb.config import TrainConfig
from gramnb.runs import Run, write_json
from gramnb.training import load_network


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
        content = {name: source.read(name) for name in source.namelist()}
        config = json.loads(content["config.json"])
        config["config"]["layers"][1] |= {"module": "foreign", "registered_name": "foreign>ReLU"}
        content["config.json"] = json.dumps(config)
        for name, data in content.items():
            target.writestr(name, data)


@pytest.mark.parametrize("write", [with_lambda, with_foreign_module])
def test_code_in_a_file_is_refused_and_not_run(write, tmp_path, monkeypatch):
    """Whether the file is asked for itself or as a run's."""
    monkeypatch.syspath_prepend(tmp_path)
    file, witness = tmp_path / "model.keras", tmp_path / "witness"
    write(file, witness)
    config = TrainConfig(backbone="EfficientNetLite0", frozen=True)
    write_json(tmp_path / "config.json", config.model_dump(mode="json"))
    for load, argument in ((load_model, file), (load_network, Run(tmp_path))):
        with pytest.raises(ValueError, match="model.keras: no") as error:
            load(argument)
        assert "\n" not in str(error.value)
        assert not witness.exists() and "foreign" not in sys.modules
