#!/usr/bin/env bash
# Further arguments are Hydra overrides.
set -euo pipefail
export VERL_PLATFORM=cpu
exec python -m verl.trainer.main_ppo +recipe=vision_r1_cpu "$@"
