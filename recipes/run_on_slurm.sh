#!/usr/bin/env bash
# Starts a training by Slurm, with a Ray cluster of its own on the nodes of the job; both end together.
#   run_on_slurm.sh NODES +recipe=NAME [overrides]
# Called outside of a job it submits itself. Options of sbatch (partition, account, time): SBATCH_PARTITION and the like.
set -euo pipefail
nodes="${1:?expected the number of nodes, then +recipe=NAME}"
gpus="${GPUS_PER_NODE:-8}"
if [[ -z "${SLURM_JOB_ID:-}" ]]; then
  RECIPES="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  export RECIPES # Slurm copies this file away from its folder.
  exec sbatch --nodes="$nodes" --ntasks-per-node=1 --gpus-per-node="$gpus" --exclusive --export=ALL "$RECIPES/run_on_slurm.sh" "$@"
fi
shift
recipes="${RECIPES:?expected the folder of this file: call it outside of a job, and it submits itself}"

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head="${hosts[0]}"
addresses="$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address)"
address="${addresses%% *}" # A host may have several.
port=$((20000 + SLURM_JOB_ID % 10000)) # Not Ray's usual one, which somebody else's cluster may have.
export RAY_ADDRESS="$address:$port"
# A token of the job's own. Without one, Ray 2.60 takes that in the home folder, and drivers that bring none wait for ever.
RAY_AUTH_TOKEN="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="$address" --port="$port" --num-gpus="$gpus" --block &
steps=("$!")
trap 'kill "${steps[@]}" 2>/dev/null || true; wait' EXIT # The steps that were started here, and with them their Ray.
if ((nodes > 1)); then
  srun --overlap --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --exclude="$head" \
    ray start --address="$RAY_ADDRESS" --num-gpus="$gpus" --block &
  steps+=("$!")
fi

python "$recipes/wait_for_nodes.py" "$nodes" --gpus "$gpus"
python -m verl.trainer.main_ppo "$@"
