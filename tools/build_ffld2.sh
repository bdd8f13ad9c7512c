#!/bin/sh
# Builds FFLD2, the face detector of the paper (Section III.E), for `affkit faces --detector ffld2`.
#
#     tools/build_ffld2.sh [FOLDER]      FOLDER is runs/ffld2 without an argument
#
# FOLDER becomes a Python environment of its own with the package cyffld2 (AGPL-3), built from its source.
# affkit starts a program in it and never loads it. With another folder, tell affkit: export AFFKIT_FFLD2=FOLDER
# Needs a C++ compiler and headers (Debian: apt install g++ libeigen3-dev libfftw3-dev libxml2-dev libjpeg-dev)
# and a Python 3 with venv; choose another one with PYTHON=python3.12 tools/build_ffld2.sh. Takes about a minute.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-runs/ffld2}
python=${PYTHON:-python3}
include=${INCLUDE:-/usr/include}

for header in eigen3/Eigen/Core libxml2/libxml/parser.h fftw3.h jpeglib.h; do
    if [ ! -e "$include/$header" ]; then
        echo "$include/$header: no such file; on Debian:" \
            "apt install g++ libeigen3-dev libfftw3-dev libxml2-dev libjpeg-dev" >&2
        exit 2
    fi
done

rm -f "$folder/worker.py" # what affkit looks for; it is there again when all went well
"$python" -m venv "$folder"
pip() { "$folder/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
# cyffld2 itself asks for a Cython of 2015, and its setup.py for a Cython that is already installed.
pip install numpy "cython>=3" "setuptools<81" wheel
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
pip download --no-deps --no-binary :all: --no-build-isolation --dest "$source" cyffld2==0.2.4
tar -xzf "$source"/cyffld2-0.2.4.tar.gz -C "$source"
# A compiler of today does not bind a temporary to a reference that may change it.
sed -i.old 's/level\.swap(Level());/level = Level();/' "$source/cyffld2-0.2.4/cyffld2/ffld2/HOGPyramid.cpp"
CPLUS_INCLUDE_PATH="$include/eigen3:$include/libxml2" \
    pip install --no-deps --no-build-isolation "$source/cyffld2-0.2.4"
cp "$here/ffld2_worker.py" "$folder/worker.py"
# It says so when it has read its model.
printf '' | "$folder/bin/python" -I "$folder/worker.py" | grep -q FFLD2
echo "FFLD2 is ready: affkit faces VIDEO --out STORE --detector ffld2"
[ "$folder" = runs/ffld2 ] || echo "first: export AFFKIT_FFLD2=$folder"
