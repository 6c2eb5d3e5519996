#!/bin/sh
# Finds a Python and lets script/install.py run a module, with its arguments, inside .venv.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."

recent_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    recent_enough "$PYTHON" && exec "$PYTHON" -m script.install "$@"
    echo "PYTHON is $PYTHON, which is not a Python 3.10 or newer that runs here. Name another or unset PYTHON." >&2
    exit 1
fi
for python in python3 python python3.13 python3.12 python3.11 python3.10; do
    if recent_enough "$python"; then
        exec "$python" -m script.install "$@"
    fi
done
echo "hopla needs Python 3.10 to 3.13, and found none. Install one, or name it: PYTHON=/path/to/python3.12 script/test" >&2
exit 1
