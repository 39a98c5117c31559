#!/bin/sh
# Put what is measured against, and what measures, into .tools: each part by itself, so that one that cannot be had
# leaves only its own rows without a number. Needs no root; Debian packages are unpacked, not installed.
# Usage: benchmarks/prepare-tools.sh [PART...]        parts: load perf_analyzer sglang_router litellm
set -u
cd "$(dirname "$0")/.."
mkdir -p .tools/logs

unpack() { # DIRECTORY PACKAGE...
    directory=$1; shift
    packages=$(mktemp -d); (
        cd "$packages"
        apt-get download -qq "$@" || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq "$@"; }
    ) || return 1
    for package in "$packages"/*.deb; do dpkg-deb --extract "$package" "$directory" || return 1; done
    rm -r "$packages"
}

load() { # wrk and nginx
    [ -x .tools/debian/usr/sbin/nginx ] && [ -x .tools/debian/usr/bin/wrk ] && return
    unpack .tools/debian wrk nginx libluajit-5.1-2 libluajit-5.1-common
}

# The binary ships in tritonclient's 2.50.0 wheel; its libcudart comes from the nvidia-pytriton wheel, libb64 from Debian.
perf_analyzer() {
    [ -x .tools/perf_analyzer/perf_analyzer ] && return
    work=$(mktemp -d)
    .venv/bin/python -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" tritonclient==2.50.0 || return 1
    unpack "$work/debian" libb64-0d || return 1
    mkdir -p .tools/perf_analyzer/lib
    cp "$work"/debian/usr/lib/*/libb64.so.0d .tools/perf_analyzer/lib/ || return 1
    libraries=$(.venv/bin/python -c 'import importlib.util as u, pathlib as p
print(p.Path(u.find_spec("pytriton").origin).parent.parent / "nvidia_pytriton.libs")') || return 1
    cp "$libraries"/libcudart-*.so.12* .tools/perf_analyzer/lib/libcudart.so.12 || return 1
    .venv/bin/python - "$work" <<'PY' || return 1
import pathlib, sys, zipfile
wheel = next(pathlib.Path(sys.argv[1]).glob("tritonclient-*.whl"))
with zipfile.ZipFile(wheel) as archive:
    program = archive.read("tritonclient-2.50.0.data/data/bin/perf_analyzer")
pathlib.Path(".tools/perf_analyzer/perf_analyzer.bin").write_bytes(program)
PY
    cat >.tools/perf_analyzer/perf_analyzer <<'SH'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH="$here/lib" exec "$here/perf_analyzer.bin" "$@"
SH
    chmod +x .tools/perf_analyzer/perf_analyzer .tools/perf_analyzer/perf_analyzer.bin
    rm -r "$work"
}

# Each in an environment of its own: their pins contradict each other's and ours.
environment() { # NAME REQUIREMENT
    [ -x ".tools/$1/.complete" ] && return
    rm -rf ".tools/$1"
    .venv/bin/python -m venv ".tools/$1" || return 1
    ".tools/$1/bin/pip" install --quiet --disable-pip-version-check "$2" || return 1
    touch ".tools/$1/.complete" && chmod +x ".tools/$1/.complete"
}
sglang_router() { environment sglang-router sglang-router==0.3.2; }
litellm() { environment litellm 'litellm[proxy]==1.106.2'; }

[ $# -gt 0 ] || set -- load perf_analyzer sglang_router litellm
for part in "$@"; do
    "$part" >".tools/logs/$part.log" 2>&1 || echo "benchmarks: $part could not be set up (.tools/logs/$part.log)" >&2
done
