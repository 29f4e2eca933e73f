"""A missing folder is named as such, and not taken for a name on the hub."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.verl


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def read(path: str) -> Any:
    from verl_vision_r1.preflight.config_check.model import check_model

    return check_model(OmegaConf.create({"path": path}))


@pytest.mark.parametrize("path", ["models/qwen", "./qwen", "demo/shapes/model", "/nowhere/model"])
def test_a_missing_folder_is_named(here: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read(path)
    assert str(caught.value) == (
        "actor_rollout_ref.model.path: expected an existing model folder or a name on the hub, got"
        f" {path!r}: there is no folder {here / path}; correct the path"
    )


def test_a_home_folder_is_not_expanded() -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a path without ~, .* got '~/models/qwen'; use \$HOME"):
        read("~/models/qwen")


@pytest.mark.parametrize("path", ["nobody/qwen", "qwen"])
def test_what_may_be_on_the_hub_is_looked_for_there(here: Path, path: str) -> None:
    message = rf"a name on the hub, got '{path}': .*huggingface\.co.* There is no folder {here / path} either\.$"
    with pytest.raises(FileNotFoundError, match=message):
        read(path)


def test_a_folder_without_a_model_is_named(here: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a model folder .*, got 'models': "):
        read("models")


@pytest.mark.parametrize(("family", "own_code"), [("internvl", False), ("kimi_vl", True), ("molmo", True)])
def test_a_family_that_verl_does_not_train_is_refused_by_name(here: Path, family: str, own_code: bool) -> None:
    code = {"auto_map": {"AutoConfig": "configuration_own.OwnConfig"}} if own_code else {}
    (here / "models" / "config.json").write_text(json.dumps({"model_type": family, **code}))
    with pytest.raises(
        ValueError, match=f"^actor_rollout_ref.model.path: expected a family .*, got {family} .*processor"
    ):
        read("models")


def test_a_remote_model_is_not_read() -> None:
    assert read("hdfs://somewhere/model") is None


def test_the_configuration_of_a_model_is_read(folder: Path) -> None:
    assert read(str(folder / "model")).model_type == "qwen2_5_vl"
