#!/bin/sh
# Make .venv with the project and the named extras; install from Debian what that needs.
# Usage: local/prepare.sh EXTRAS        for example: local/prepare.sh local,test
set -eu
cd "$(dirname "$0")/.."

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'
own_pythons=.tools/python
say() { echo "[setup] $*" >&2; }

find_python() {
    for candidate in "${PYTHON:-python3}" python3.12 python3.11 "$own_pythons"/*/bin/python3.12; do
        if command -v "$candidate" >/dev/null && "$candidate" -c "$supported"; then echo "$candidate"; return; fi
    done
}

# Debian 13 and Ubuntu 26.04 have only newer ones: uv, from PyPI, fetches one that needs no root and changes nothing else.
fetch_python() {
    line="uv python install 3.12 --install-dir $PWD/$own_pythons"
    say "no Python 3.11 or 3.12 here (Triton 2.51's Python backend needs one); fetching 3.12 with uv (some 30 MB)"
    if python3 -m venv .tools/uv && .tools/uv/bin/pip install --quiet --disable-pip-version-check uv &&
        UV_NO_PROGRESS=1 .tools/uv/bin/uv python install 3.12 --install-dir "$own_pythons" --no-bin; then return; fi
    echo "It could not be fetched. Install Python 3.12 and set PYTHON to it, or run where there is a network:  $line" >&2
    exit 1
}

python=$(find_python)
[ -n "$python" ] || { fetch_python; python=$(find_python); }
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

missing=""
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python$version-venv"
"$python" - <<'PY' || missing="$missing libpython$version"
import pathlib, sys, sysconfig
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
places = [sysconfig.get_config_var("LIBDIR"), "/usr/lib/%s" % sysconfig.get_config_var("MULTIARCH")]
sys.exit(not any(pathlib.Path(place, name).is_file() for place in places if place))
PY
# Tests look at the page in a real browser; Ubuntu has Chromium only as a snap, and there they are skipped.
case ",$1," in
*,test,*)
    if grep -q '^ID=debian' /etc/os-release && ! command -v chromium >/dev/null; then missing="$missing chromium"; fi
    ;;
esac
as_root() {
    if [ "$(id -u)" = 0 ]; then sh -c "$1"
    elif sudo -n true 2>/dev/null; then sudo sh -c "$1"
    else echo "This needs root once; run it, then try again:  $1" >&2; exit 1
    fi
}
[ -z "$missing" ] || say "installing from Debian:$missing"
[ -z "$missing" ] || as_root "apt-get update -qq && apt-get install -y -qq$missing"

[ -x .venv/bin/python ] || { say "making .venv with $("$python" --version)"; "$python" -m venv .venv; }

# PyPI's torch for Linux brings several GB of CUDA; PyTorch's own index has one for processors alone.
torch_index=https://download.pytorch.org/whl/cpu
from_index=""
case ",$1," in
*,export,*)
    say "installing packages from PyPI: 2 GB on disk with torch for processors, 7 GB where only that with CUDA can be had"
    if "$python" -c "import urllib.request; urllib.request.urlopen('$torch_index/torch/', timeout=5)" 2>/dev/null; then
        from_index="--extra-index-url $torch_index"
    fi
    ;;
*) say "installing packages from PyPI: Triton, ONNX Runtime and what the proxy needs, 550 MB on disk" ;;
esac
# shellcheck disable=SC2086 - two words, or none
.venv/bin/python -m pip install --quiet --progress-bar off --disable-pip-version-check $from_index \
    --constraint requirements.lock --editable ".[$1]" &
installing=$!
while kill -0 $installing 2>/dev/null; do
    sleep 5
    kill -0 $installing 2>/dev/null && say "still installing: $(du -sm .venv | cut -f1) MB in .venv so far"
done
wait $installing

# Tests scrape with Debian's Prometheus: its two programs go into .venv, no service is installed.
case ",$1," in
*,test,*)
    [ -x .venv/bin/promtool ] || (
        say "fetching Prometheus from Debian (some 30 MB), for the tests"
        cd .venv
        apt-get download -qq prometheus 2>/dev/null || { as_root "apt-get update -qq" && apt-get download -qq prometheus; }
        dpkg-deb --fsys-tarfile prometheus_*.deb |
            tar -x --strip-components=3 -C bin ./usr/bin/prometheus ./usr/bin/promtool
        rm prometheus_*.deb
    )
    ;;
esac
