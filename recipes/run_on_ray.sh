#!/usr/bin/env bash
# Starts a training on a Ray cluster that runs already, from one of its machines; the cluster is left as it is.
#   run_on_ray.sh NODES +recipe=NAME [overrides]
# RAY_ADDRESS: host:port of the cluster's head; by default the cluster that this machine belongs to.
set -euo pipefail
nodes="${1:?expected the number of nodes, then +recipe=NAME}"
shift
export RAY_ADDRESS="${RAY_ADDRESS:-auto}"
# Ray 2.60 asks for the token in the home folder where there is one; a driver brings it only where this says so.
if [[ -z "${RAY_AUTH_MODE:-}" && -f ~/.ray/auth_token ]]; then
  export RAY_AUTH_MODE=token
fi
if ! ray status --address "$RAY_ADDRESS"; then
  echo "run_on_ray.sh: RAY_ADDRESS: expected a Ray cluster that runs, got $RAY_ADDRESS, where none answers" >&2
  exit 1
fi
python "$(dirname "${BASH_SOURCE[0]}")/wait_for_nodes.py" "$nodes" --gpus "${GPUS_PER_NODE:-8}"
exec python -m verl.trainer.main_ppo "$@"
