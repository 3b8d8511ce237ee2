#!/usr/bin/env bash
# What only a GPU can show, in order of worth, within the minutes given:
#
#   bash scripts/gpu_check.sh MINUTES DATA_DIR OUT_DIR
#
# 1. the tests marked `gpu` (if pytest is installed), 2. the benchmark, 3. a profile of one step, 4. as many of
# the CIFAR-10 figures of results/ as fit, at full scale (ResNet-20, all images, 30 epochs): 8 workers, then a
# constant SGD batch, one worker, and the remedies. DATA_DIR: CIFAR-10, as torchvision unpacks it or as an image
# folder; nothing is downloaded. Killed at any point it keeps what it has, and the same command goes on where it
# was. It uses .venv where scripts/setup.sh made one, else python3 with the packages installed.
set -uo pipefail

die() {
  printf 'gpu_check: %s\n' "$*" >&2
  exit 2
}

[ $# = 3 ] || die "usage: bash scripts/gpu_check.sh MINUTES DATA_DIR OUT_DIR"
case $1 in '' | *[!0-9]* | 0) die "MINUTES $1: must be a whole number from 1" ;; esac
[ -d "$2" ] || die "DATA_DIR $2: is no directory; give CIFAR-10's"
end=$((SECONDS + 60 * $1))
data=$(cd -- "$2" && pwd -P)
mkdir -p -- "$3" || die "OUT_DIR $3: cannot be made"
out=$(cd -- "$3" && pwd -P)
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root" || exit
python=$root/.venv/bin/python
if [ ! -x "$python" ]; then python=python3; fi
"$python" -c 'import bnrepro.config.compose, torch' ||
  die "$python lacks the packages (see above): bash scripts/setup.sh"
"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
  die "torch finds no CUDA device: nvidia-smi shows the driver's, $python -m torch.utils.collect_env torch's"
overrides=("data.root=$data" data.download=false device=cuda)
reserve=$((6 * $1)) # seconds for the last checkpoints and the figure: a tenth, at most a minute
if [ "$reserve" -gt 60 ]; then reserve=60; fi

left() { printf '%s' $((end - SECONDS - reserve)); }

limited() { # COMMAND... : until the time is up; Ctrl-C lets a sweep write its checkpoints
  if [ "$(left)" -le 0 ]; then return 124; fi
  timeout --foreground --signal=INT --kill-after=50 "$(left)" "$@"
}

stage() { # NAME COMMAND... : once; its output in OUT_DIR/NAME.txt
  local name=$1 code=0
  shift
  if [ -e "$out/$name.txt" ]; then
    printf 'gpu_check: %s: done before, see %s\n' "$name" "$out/$name.txt"
    return
  fi
  printf 'gpu_check: %s\n' "$name"
  limited "$@" 2>&1 | tee -- "$out/$name.unfinished" || code=${PIPESTATUS[0]}
  case $code in
    0 | 1) mv -- "$out/$name.unfinished" "$out/$name.txt" ;;
    124 | 130 | 137) printf 'gpu_check: %s: not finished in the time given\n' "$name" ;;
    *) printf 'gpu_check: %s: ended with code %s: see %s\n' "$name" "$code" "$out/$name.unfinished" ;;
  esac
  if [ "$code" != 0 ]; then failed=1; fi
}

full_scale=(model=resnet20 data.train_subset=null epochs=30)

figure() { # NAME BATCH_SIZES OVERRIDES...
  local name=$1 sizes=$2
  shift 2
  limited "$python" -m bnrepro sweep batch-size "$@" "${full_scale[@]}" "${overrides[@]}" \
    --batch-sizes "$sizes" --out "$out/$name" 2>&1 | tee -a -- "$out/$name.log"
  return "${PIPESTATUS[0]}"
}

drawn() { # NAME: what is there of it
  if [ -e "$out/$1/sweep.json" ]; then
    "$python" -m bnrepro status "$out/$1"
    "$python" -m bnrepro plot "$out/$1" || failed=1
  fi
}

failed=0
"$python" -m torch.utils.collect_env >"$out/environment.txt" 2>&1
if "$python" -c 'import pytest' 2>/dev/null; then
  # without the project's settings, which ask for plugins that a machine with pytest may lack
  mapfile -t tests < <(grep -rl --include='test_*.py' 'mark\.gpu' tests)
  stage tests "$python" -m pytest -q -m gpu -p no:cacheprovider -c /dev/null --rootdir="$root" \
    -W ignore::pytest.PytestUnknownMarkWarning "${tests[@]}"
fi
stage bench "$python" -m bnrepro bench "${overrides[@]}" --quick --norms bn --batch-sizes 1,8,256 \
  model=resnet20 --out "$out/bench"
for size in 1 256; do
  stage "profile-b$size" "$python" scripts/profile_step.py model=resnet20 "${overrides[@]}" batch_size=$size
done
all=1,2,4,8,16,32,64,128,256
# the quick cells first: a figure with its right half is one already
figure cifar10 8,16,32,64,128,256 experiment=cifar10 protocol=workers &&
  figure cifar10 $all experiment=cifar10 protocol=workers || failed=1
drawn cifar10
for name in cifar10_fixed_sgd cifar10_quick cifar10_quick_repairs; do
  if [ "$(left)" -le 0 ]; then break; fi
  figure "$name" $all experiment="$name" || failed=1
  drawn "$name"
done
printf 'gpu_check: everything is in %s; the same command goes on where this one stopped\n' "$out"
exit $failed
