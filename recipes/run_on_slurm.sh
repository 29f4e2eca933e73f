#!/usr/bin/env bash
# Starts a training run as a Slurm job, with its own Ray cluster on the nodes of the job; both end together.
#   run_on_slurm.sh NODES +recipe=NAME [overrides]
# Called outside of a job, it submits itself. SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT etc. are options of sbatch.
set -euo pipefail
nodes="${1:?expected the number of nodes, then +recipe=NAME}"
gpus="${GPUS_PER_NODE:-8}"
if [[ -z "${SLURM_JOB_ID:-}" ]]; then
  RECIPES="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  export RECIPES # Slurm runs a copy of this file in another folder.
  exec sbatch --nodes="$nodes" --ntasks-per-node=1 --gpus-per-node="$gpus" --exclusive --export=ALL "$RECIPES/run_on_slurm.sh" "$@"
fi
shift
recipes="${RECIPES:?expected the folder of this file: call it outside of a job, and it submits itself}"

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head="${hosts[0]}"
addresses="$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address)"
address="${addresses%% *}" # A host may have several addresses.
port=$((20000 + SLURM_JOB_ID % 10000)) # Not Ray's default port, which another cluster may use.
export RAY_ADDRESS="$address:$port"
# A token for this job. Without it, Ray 2.60 uses the one in the home folder, and drivers without a token wait forever.
RAY_AUTH_TOKEN="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="$address" --port="$port" --num-gpus="$gpus" --block &
steps=("$!")
trap 'kill "${steps[@]}" 2>/dev/null || true; wait' EXIT # Ends the job steps started here, and their Ray processes.
if ((nodes > 1)); then
  srun --overlap --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --exclude="$head" \
    ray start --address="$RAY_ADDRESS" --num-gpus="$gpus" --block &
  steps+=("$!")
fi

python "$recipes/wait_for_nodes.py" "$nodes" --gpus "$gpus"
python -m verl.trainer.main_ppo "$@"
