"""The recipes for verl's supervised trainer, on top of its own configuration."""

import pytest
from compose_once import compose_once
from compositions import FOLDERS, SUPERVISED
from omegaconf import OmegaConf

pytestmark = pytest.mark.verl


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_recipe_composes_and_verl_types_its_parts(name: str) -> None:
    from verl.utils.config import omega_conf_to_dataclass

    config = compose_once("sft_trainer_engine", [f"+recipe={name}"])
    OmegaConf.to_container(config, resolve=True)
    for part in (config.engine, config.optim, config.checkpoint):
        omega_conf_to_dataclass(part)
    assert config.trainer.experiment_name == name
    assert config.data.train_files == "data/sft_train.parquet"
    assert "hf_model" in config.checkpoint.save_contents  # A GRPO run begins in this folder.


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_script_starts_the_supervised_trainer(name: str) -> None:
    script = (FOLDERS / name / "run.sh").read_text(encoding="utf-8")
    gpus = compose_once("sft_trainer_engine", [f"+recipe={name}"]).trainer.n_gpus_per_node
    assert f"--nproc_per_node={gpus} -m verl.trainer.sft_trainer +recipe={name} " in script
