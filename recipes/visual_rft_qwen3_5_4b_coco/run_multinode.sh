#!/usr/bin/env bash
# On 2 nodes: run_multinode.sh ray [overrides], or run_multinode.sh slurm [overrides].
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../run_on_${1:?expected ray or slurm}.sh" 2 +recipe=visual_rft_qwen3_5_4b_coco trainer.nnodes=2 "${@:2}"
