#!/usr/bin/env bash
# Further arguments are Hydra overrides.
set -euo pipefail
export VERL_PLATFORM=cpu
exec python -m torch.distributed.run --standalone --nproc_per_node=1 -m verl.trainer.sft_trainer +recipe=vision_r1_sft_cpu "$@"
