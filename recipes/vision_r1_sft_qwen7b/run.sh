#!/usr/bin/env bash
# Further arguments are Hydra overrides, such as data.train_files=data/sft_train.parquet or trainer.total_epochs=2.
set -euo pipefail
exec python -m torch.distributed.run --standalone --nproc_per_node=8 -m verl.trainer.sft_trainer +recipe=vision_r1_sft_qwen7b "$@"
