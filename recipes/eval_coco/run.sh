#!/usr/bin/env bash
# Further arguments are Hydra overrides, such as actor_rollout_ref.model.path=FOLDER or data.val_files=data/val.parquet.
set -euo pipefail
exec python -m verl.trainer.main_ppo +recipe=eval_coco "$@"
