#!/bin/sh
# Make .venv with the project and the named extras; install from Debian what that needs.
# Usage: local/prepare.sh EXTRAS        for example: local/prepare.sh local,test
set -eu
cd "$(dirname "$0")/.."

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'
python=""
for candidate in "${PYTHON:-python3}" python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && "$candidate" -c "$supported"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or 3.12 is needed (Triton 2.51's Python backend wants NumPy 1); set PYTHON to one." >&2
    exit 1
fi
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
[ -z "$missing" ] || as_root "apt-get update -qq && apt-get install -y -qq$missing"

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable ".[$1]"

# Tests scrape with Debian's Prometheus: its two programs go into .venv, no service is installed.
case ",$1," in
*,test,*)
    [ -x .venv/bin/promtool ] || (
        cd .venv
        apt-get download -qq prometheus 2>/dev/null || { as_root "apt-get update -qq" && apt-get download -qq prometheus; }
        dpkg-deb --fsys-tarfile prometheus_*.deb |
            tar -x --strip-components=3 -C bin ./usr/bin/prometheus ./usr/bin/promtool
        rm prometheus_*.deb
    )
    ;;
esac
