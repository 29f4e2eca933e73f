#!/usr/bin/env bash
# Supervised training, then GRPO from its checkpoint, then evaluation, all with verl's own trainers.
#   sft_then_grpo.sh DATA MODEL OUT [SFT_STEPS [GRPO_STEPS]]
# DATA is a folder in COCO layout, MODEL a model folder or a name on the hub, OUT a new folder. By default with the recipes
# for a CPU; for GPUs: SFT=vision_r1_sft_qwen7b GRPO=vision_r1_qwen7b GPUS=8.
set -euo pipefail
data="$(realpath "${1:?expected a folder in COCO layout}")"
model="${2:?expected a model}"
out="$(realpath -m "${3:?expected a folder for the output}")"
sft_steps="${4:-60}"
grpo_steps="${5:-40}"
sft="${SFT:-vision_r1_sft_cpu}"
grpo="${GRPO:-vision_r1_cpu}"
if [[ "$grpo" == *_cpu ]]; then export VERL_PLATFORM=cpu; fi
if [[ -d "$model" ]]; then model="$(realpath "$model")"; fi
mkdir -p "$out"
cd "$out" # verl's loggers write to the working directory.

vision-r1 prepare coco --source "$data" --out "$out/data" --sft "$model" ${PREPARE:-}

python -m torch.distributed.run --standalone --nproc_per_node="${GPUS:-1}" -m verl.trainer.sft_trainer +recipe="$sft" \
  data.train_files="$out/data/sft_train.parquet" data.val_files="$out/data/sft_val.parquet" model.path="$model" \
  trainer.total_training_steps="$sft_steps" trainer.total_epochs=1000 trainer.default_local_dir="$out/sft"

start="$out/sft/global_step_$sft_steps/huggingface"
run=(python -m verl.trainer.main_ppo +recipe="$grpo" actor_rollout_ref.model.path="$start"
  data.train_files="$out/data/train.parquet" data.val_files="$out/data/val.parquet")

"${run[@]}" trainer.total_training_steps="$grpo_steps" trainer.save_freq="$grpo_steps" trainer.default_local_dir="$out/grpo" \
  trainer.validation_data_dir="$out/validation" trainer.test_freq="$grpo_steps"

vision-r1 evaluate "$out/validation/$grpo_steps.jsonl" --annotations "$out/data/val.parquet" --protocol plain \
  --against "$out/validation/0.jsonl" --out "$out/evaluation"
