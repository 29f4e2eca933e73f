#!/usr/bin/env bash
# Starts a training run on an existing Ray cluster, from one of its machines. The cluster keeps running afterwards.
#   run_on_ray.sh NODES +recipe=NAME [overrides]
# RAY_ADDRESS: host:port of the head node; default: the cluster of this machine.
set -euo pipefail
nodes="${1:?expected the number of nodes, then +recipe=NAME}"
shift
export RAY_ADDRESS="${RAY_ADDRESS:-auto}"
# If the home folder has a token, Ray 2.60 requires it; a driver sends it only with this setting.
if [[ -z "${RAY_AUTH_MODE:-}" && -f ~/.ray/auth_token ]]; then
  export RAY_AUTH_MODE=token
fi
if ! ray status --address "$RAY_ADDRESS"; then
  echo "run_on_ray.sh: RAY_ADDRESS: expected a Ray cluster that runs, got $RAY_ADDRESS, which does not respond" >&2
  exit 1
fi
python "$(dirname "${BASH_SOURCE[0]}")/wait_for_nodes.py" "$nodes" --gpus "${GPUS_PER_NODE:-8}"
exec python -m verl.trainer.main_ppo "$@"
