"""The files by which hopla is deployed agree with each other, with the repository and with the settings."""

import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from urllib.request import urlopen

import yaml
from django.conf import settings
from django.test import SimpleTestCase

from script.run_tests import dotenv_values
from script.serve import REDIS_BYTES_PER_STAGED_BYTE, REDIS_SPARE_BYTES
from tests.web_server import running_web_server

ROOT = settings.BASE_DIR
OURS = ("release", "web", "worker")


def read(name: str) -> str:
    return (ROOT / name).read_text()


def procfile() -> dict[str, str]:
    """Commands by process, without variables set in front: those are the image's."""
    commands = dict(line.split(": ", 1) for line in read("Procfile").splitlines())
    return {name: re.sub(r"^([A-Z_]+=\S+ )+", "", command) for name, command in commands.items()}


def services() -> dict[str, dict]:
    """compose.yaml's, as they are when no variable is set."""
    return without_variables(yaml.safe_load(read("compose.yaml"))["services"])


def without_variables(node):
    if isinstance(node, dict):
        return {name: without_variables(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [without_variables(inner) for inner in node]
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", node) if isinstance(node, str) else node


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, argument) of each instruction, continued lines joined and shell quoting left alone."""
    text = re.sub(r"\\\n\s*", "", "".join(line for line in read("Dockerfile").splitlines(True) if line[:1] != "#"))
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line]


def stages() -> dict[str, list[tuple[str, str]]]:
    found, stage = {}, None
    for instruction, argument in dockerfile():
        if instruction == "FROM":
            stage = argument.rpartition(" AS ")[2]
            found.setdefault(stage, [])
        else:
            found[stage].append((instruction, argument))
    return found


class ComposeTests(SimpleTestCase):
    def test_web_and_worker_run_what_the_procfile_says(self):
        for name in ("web", "worker"):
            self.assertEqual(services()[name]["command"], procfile()[name])

    def test_release_is_the_procfiles_but_for_what_the_image_has_done(self):
        *here, static_files = procfile()["release"].split(" && ")
        self.assertEqual(shlex.split(services()["release"]["command"])[2], " && ".join(here))
        self.assertIn(static_files, " ".join(argument for _, argument in stages()["build"]))

    def test_every_variable_is_known(self):
        known = set(dotenv_values(ROOT / ".env.example"))
        for name in (*OURS, "sandbox"):
            self.assertLessEqual(set(services()[name]["environment"]), known)
        passed_on = set(re.findall(r"\$\{([A-Z_]+)", read("compose.yaml")))
        self.assertEqual(passed_on - known, {"POSTGRES_PASSWORD"})

    def test_settings_take_its_variables_without_a_warning(self):
        check = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
            env={"PATH": os.environ["PATH"]} | services()["release"]["environment"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual(check.returncode, 0, check.stderr)

    def test_hoplas_containers_may_write_to_memory_alone_and_have_time_to_stop(self):
        for name in OURS:
            service = services()[name]
            self.assertEqual((service["read_only"], service["tmpfs"]), (True, ["/tmp"]))
            self.assertEqual((service["cap_drop"], service["stop_grace_period"]), (["ALL"], "30s"))
        self.assertLess(settings.STOP_TIMEOUT_SECONDS, 30)

    def test_redis_has_room_for_the_photos_and_writes_nothing_down(self):
        options = shlex.split(services()["redis"]["command"])
        values = dict(zip(options[1::2], options[2::2], strict=True))
        wanted = settings.STAGING_MAX_BYTES * REDIS_BYTES_PER_STAGED_BYTE + REDIS_SPARE_BYTES
        self.assertGreaterEqual(int(values["--maxmemory"].removesuffix("mb")) * 1024**2, wanted - 1024**2)
        self.assertEqual((values["--save"], values["--appendonly"]), ("", "no"))
        self.assertEqual(values["--maxmemory-policy"], "noeviction")

    def test_ports_are_open_to_this_machine_alone(self):
        ports = [port for service in services().values() for port in service.get("ports", ())]
        self.assertEqual(len(ports), 2)
        self.assertEqual([port for port in ports if not port.startswith("127.0.0.1:")], [])


class ImageTests(SimpleTestCase):
    def test_runs_the_procfiles_web_as_an_unprivileged_user(self):
        steps = dict(stages()["hopla"])
        self.assertEqual(shlex.join(json.loads(steps["CMD"])), procfile()["web"])
        self.assertRegex(steps["USER"], r"^[1-9]\d+:[1-9]\d+$")

    def test_variables_in_front_of_the_procfiles_commands_are_the_images(self):
        variables = dict(pair.split("=", 1) for pair in dict(stages()["hopla"])["ENV"].split())
        in_front = dict(re.findall(r"\b([A-Z_]+)=(\S+)", read("Procfile")))
        self.assertEqual({name: variables.get(name) for name in in_front}, in_front)

    def test_files_it_is_made_of_are_there_and_nothing_else_is_sent(self):
        everything, *rules = [line for line in read(".dockerignore").splitlines() if line and line[0] != "#"]
        self.assertEqual(everything, "*")
        sent = [rule[1:] for rule in rules if rule.startswith("!")]
        self.assertEqual([name for name in sent if not (ROOT / name).exists()], [])
        named = [argument for steps in stages().values() for _, argument in steps]
        files = set(re.findall(r"\b[\w-]+\.(?:py|txt|lock)\b", " ".join(named))) - {"pillow.txt", "gunicorn_conf.py"}
        self.assertEqual({file for file in files if not any(fnmatch(file, name) for name in sent)}, set())

    def test_every_production_package_comes_by_its_hash(self):
        installs = [argument for steps in (stages()["build"], stages()["hopla"]) for _, argument in steps]
        installs = [argument for argument in installs if re.search(r"\bpip\b.* install ", argument)]
        self.assertEqual(len(installs), 1)
        self.assertRegex(installs[0], r"--require-hashes .*--requirement requirements\.lock")

    def test_health_check_fails_without_a_server(self):
        [check] = [argument for instruction, argument in stages()["hopla"] if instruction == "HEALTHCHECK"]
        python, *arguments = json.loads(check.partition("CMD ")[2])
        self.assertEqual(python, "python")
        with running_web_server() as (host, port):
            # Once it has loaded: how long that takes depends on the machine.
            urlopen(f"http://{host}:{port}/healthz", timeout=60).close()
            environment = {"PORT": str(port)}
            codes = (subprocess.run([sys.executable, *arguments], env=environment).returncode for _ in range(5))
            self.assertIn(0, codes)  # each gives up after seconds
        gone = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True)
        self.assertNotEqual(gone.returncode, 0)


class WorkflowTests(SimpleTestCase):
    def test_runs_what_ci_runs_on_every_python(self):
        jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
        self.assertEqual(jobs["test"]["strategy"]["matrix"]["python"], ["3.10", "3.11", "3.12", "3.13"])
        commands = [step["run"] for step in jobs["test"]["steps"] if "run" in step]
        self.assertEqual(commands, ["bash .ci/run"])
        self.assertTrue((ROOT / ".ci" / "run").exists())

    def test_starts_services_that_exist(self):
        image = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["image"]
        [start] = [step["run"] for step in image["steps"] if " up " in step.get("run", "")]
        named = {word for word in start.split() if not word.startswith("-")} - {"docker", "compose", "up"}
        self.assertLessEqual(named, set(services()))
