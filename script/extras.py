"""Installs requirements files of extras together: `python -m script.extras browser clients` those of script/browser and
script/clients. One run of pip for all takes half the time of one for each.
"""

import subprocess
import sys

from script.install import ROOT, install_extras


def main(names: list[str]) -> int:
    try:
        install_extras(*(ROOT / f"requirements-{name}.txt" for name in names))
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
