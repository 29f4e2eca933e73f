#!/usr/bin/env bash
# Further arguments are Hydra overrides, such as actor_rollout_ref.model.path=merged or data.val_files=rows/val.parquet.
set -euo pipefail
exec python -m verl.trainer.main_ppo +recipe=eval_refcoco "$@"
