#!/usr/bin/env bash
# On 4 nodes: run_multinode.sh ray [overrides], or run_multinode.sh slurm [overrides].
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../run_on_${1:?expected ray or slurm}.sh" 4 +recipe=vision_r1_qwen72b trainer.nnodes=4 "${@:2}"
