#!/bin/sh
# The main job on data that the binary embeds: pretrain on the digits 0-4, freeze all but the last block and the head, fine-tune on
# 5-9, stop midway, resume, export, and prove which tensors moved. `make demo` builds the program first.
#
#   FROSTLINE       the program [target/release/frostline]
#   FROSTLINE_HOME  where the runs go [target/demo]
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
frostline=${FROSTLINE:-$target/release/frostline}
FROSTLINE_HOME=${FROSTLINE_HOME:-$target/demo}
export FROSTLINE_HOME
mkdir -p "$FROSTLINE_HOME"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ -t 2 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain" >&2; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ -x "$frostline" ] || fail "$frostline is not there; build it with: make build"

say "1. Pretrain a small ResNet on the digits 0-4"
"$frostline" train examples/digits-pretrain.toml >"$scratch/pretrain"
pretrained=$(head -n 1 "$scratch/pretrain")

say "2. Fine-tune layer3 and fc on the digits 5-9; everything else is frozen"
"$frostline" train examples/digits-finetune.toml --set "model.weights=$pretrained@best" >"$scratch/finetune" &
trainer=$!
# Interrupted after its first checkpoint, as Ctrl-C would do it.
tuned=''
while kill -0 "$trainer" 2>/dev/null; do
    [ -n "$tuned" ] || tuned=$(head -n 1 "$scratch/finetune")
    if [ -n "$tuned" ] && ls -d "$FROSTLINE_HOME/runs/$tuned/checkpoints"/step-* >/dev/null 2>&1; then
        kill -TERM "$trainer" 2>/dev/null || true
        break
    fi
    sleep 0.05
done
code=0
wait "$trainer" || code=$?
tuned=$(head -n 1 "$scratch/finetune")
case $code in
    130) ;;
    0) echo "(it was done before it could be stopped)" >&2 ;;
    *) fail "training ended with exit code $code" ;;
esac

say "3. Resume it, exactly where it stopped"
"$frostline" resume "$tuned" >"$scratch/resume"
"$frostline" checkpoints "$tuned"

say "4. The proof: the fine-tuned weights against the pretrained ones, bit by bit"
"$frostline" diff "$pretrained@best" "$tuned@best"

say "5. Export the weights for PyTorch (safetensors)"
"$frostline" export "$tuned@best" -o "$FROSTLINE_HOME/digits.safetensors" --force

say "6. Evaluate on the held-back digits 5-9"
"$frostline" evaluate "$tuned@best" --json >"$scratch/metrics"
top1=$(sed -n 's|.*"val/top1": *\([0-9.eE+-]*\).*|\1|p' "$scratch/metrics" | head -n 1)
printf 'validation accuracy: %s\n' "${top1:-unknown}"
awk "BEGIN { exit !(${top1:-0} >= 0.97) }" || fail "the accuracy is below 0.97"

say "Done"
cat <<END
run        $tuned (fine-tuned from $pretrained)
weights    $FROSTLINE_HOME/digits.safetensors
go on      FROSTLINE_HOME=$FROSTLINE_HOME $frostline
END

# On a terminal the workbench opens on the run.
if [ -t 0 ] && [ -t 1 ] && [ -z "${CI:-}" ]; then
    printf '\nEnter opens the workbench on this run (q leaves it) ' >&2
    read -r _ || exit 0
    exec "$frostline" show "$tuned" --watch
fi
