#!/usr/bin/env bash
# Further arguments are Hydra overrides, such as data.train_files=data/train.parquet or vision_r1/engine=fsdp2_offload.
set -euo pipefail
exec python -m verl.trainer.main_ppo +recipe=visual_rft_qwen3_5_4b_coco "$@"
