#!/bin/sh
# Usage: install.sh LIST VENV: installs requirements/LIST.txt, and this checkout, into a virtual
# environment. pip installs uv, and uv the rest; where uv does not come for this machine, pip does all.
set -eu
python=$2/bin/python
cd "$(dirname "$0")/.."

refuse() {
  echo "The packages of requirements/$1.txt could not be installed: see above. Without a network or" \
    "room on the disk this fails. Run the same command again when that is settled." >&2
  exit 1
}

pip() {
  "$python" -m pip install -qq --disable-pip-version-check "$@"
}

uv() {
  "$python" -m uv pip install --quiet --python "$python" "$@"
}

if pip --require-hashes --requirement requirements/uv.txt 2>/dev/null; then
  installer=uv
else
  installer=pip
fi
$installer --require-hashes --requirement "requirements/$1.txt" || refuse "$1"
$installer --no-deps --no-build-isolation --editable . || refuse "$1"
