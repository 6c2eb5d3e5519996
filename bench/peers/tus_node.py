"""tus-node-server (@tus/server with @tus/file-store), which takes files by the tus protocol: it knows no accounts and
no database, and keeps the files on disk."""

import re
import shutil

from bench.load import run_load
from script import npm
from script.install import ROOT

FOLDER = ROOT / "var" / "tus-node"
PACKAGES = {"@tus/server": "2.4.5", "@tus/file-store": "2.1.1"}
PROGRAM = "tus_node.mjs"
READY_WITHIN_SECONDS = 30


class TusNode:
    """Looks like a Contender where photos are posted: each is one request, the protocol's creation with upload."""

    name = "tus-node"

    def __init__(self, stage):
        self.stage = stage
        self.files = stage.folder / "tus-node"
        npm.ensure(stage.processes, FOLDER, PACKAGES, oldest_node="20.19")

    def start_web(self) -> None:
        self.files.mkdir()
        # Node looks for packages from the program's own folder upwards.
        program = shutil.copy(ROOT / "bench" / "peers" / PROGRAM, FOLDER)
        processes = self.stage.processes
        self.web = processes.start("tus-node", ["node", program, self.files], cwd=FOLDER)
        processes.wait_until(lambda: self._port, child=self.web, timeout_seconds=READY_WITHIN_SECONDS)

    @property
    def _port(self) -> int | None:
        found = re.search(r"port (\d+)", self.web.output)
        return found and int(found[1])

    def load(self, **work) -> dict:
        return run_load(port=self._port, tus=True, **work)

    def clear(self) -> None:
        """No file is left."""
        for file in self.files.iterdir():
            file.unlink()
