import os
import signal
import sys
from unittest import skipUnless

from django.test import SimpleTestCase

from tests.scripts.programs import is_running, output_of, read_until, start, wait_until

# Starts a child that starts a child in a session of its own, and prints both pids when they are up.
FAMILY = """
import sys
from script import children
from script.children import ChildFailed, Children, StopAsked

children.SECONDS_TO_STOP = 1
GRANDCHILD = "import os, time; print('up', os.getppid(), os.getpid(), flush=True); time.sleep(600)"
CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True); "

with Children() as family:
    family.echoes_output = True
    family.start("family", [sys.executable, "-c", CHILD + {then!r}, GRANDCHILD])
    try:
        while True:
            family.watch(seconds=0.1)
    except ChildFailed as error:
        print(error)
    except StopAsked as stop:
        print("asked by", stop)
print("over")
"""
STAYS = "time.sleep(600)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
DIES = "print('no more ink', flush=True); sys.exit(3)"


class ChildrenTests(SimpleTestCase):
    def launch(self, then):
        program = start(FAMILY.format(then=then))
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def start_family(self, then):
        """Returns the program and the pids of its child and its grandchild."""
        program = self.launch(then)
        pids = [int(word) for word in read_until(program, "up").split() if word.isdecimal()]
        return program, pids

    def test_sigterm_ends_the_child(self):
        program, (child, _) = self.start_family(STAYS)
        program.terminate()
        self.assertIn("asked by SIGTERM\nover\n", output_of(program))
        self.assertFalse(is_running(child))

    def test_ctrl_c_ends_the_child(self):
        program, (child, _) = self.start_family(STAYS)
        program.send_signal(signal.SIGINT)
        self.assertIn("asked by SIGINT\nover\n", output_of(program))
        self.assertFalse(is_running(child))

    def test_child_deaf_to_sigterm_is_ended_too(self):
        program, (child, _) = self.start_family(IGNORES_SIGTERM)
        program.terminate()
        self.assertIn("over\n", output_of(program))
        self.assertFalse(is_running(child))

    @skipUnless(sys.platform == "linux", "needs Linux")
    def test_grandchild_in_another_session_is_ended_too(self):
        program, (_, grandchild) = self.start_family(STAYS)
        program.terminate()
        output_of(program)
        self.assertFalse(is_running(grandchild))

    def test_death_of_a_child_is_told_with_its_name_and_last_words(self):
        output = output_of(self.launch(DIES))
        self.assertIn("family ended with exit code 3. Its last output:\n", output)
        self.assertIn("    no more ink\n", output)

    @skipUnless(sys.platform == "linux", "needs Linux")
    def test_child_does_not_outlive_a_parent_killed_outright(self):
        program, (child, grandchild) = self.start_family(STAYS)
        program.kill()
        wait_until(lambda: not is_running(child))
        os.kill(grandchild, signal.SIGKILL)  # no process is left to end this one


class RunTests(SimpleTestCase):
    def outcome(self, command):
        program = start(
            "import sys; from script.children import ChildFailed, Children\n"
            "with Children() as children:\n"
            f"    try: children.run('job', [sys.executable, '-c', {command!r}])\n"
            "    except ChildFailed as error: print(error)\n"
            "    else: print('fine')\n"
        )
        return output_of(program)

    def test_command_that_succeeds(self):
        self.assertEqual(self.outcome("print('quiet')"), "fine\n")

    def test_command_that_fails_is_told_with_its_output(self):
        self.assertEqual(
            self.outcome("import sys; sys.exit('out of paper')"),
            "job ended with exit code 1. Its last output:\n    out of paper\n\n",
        )
