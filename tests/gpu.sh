#!/usr/bin/env bash
# Runs what needs a GPU: the tests marked `gpu`, then the measurement of throughput, which writes one JSON.
# usage: bash tests/gpu.sh [OUT.json]      PYTHON names the interpreter, by default that of .venv or python3
set -euo pipefail
out=$(realpath -m "${1:-gpu.json}")
cd "$(dirname "$0")/.."
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if ! "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then
    echo "gpu.sh: torch finds no CUDA device here; nothing was run" >&2
    exit 2
fi
"$python" -m pytest -m gpu -p no:cacheprovider tests/gpu
"$python" tests/gpu/throughput.py --out "$out"
echo "gpu.sh: wrote $out"
