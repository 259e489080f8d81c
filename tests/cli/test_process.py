"""A command's process ends at once, and yet nothing that it began is lost."""

import os
import subprocess
import sys

_PROGRAM = """
import atexit, sys, threading
from concurrent.futures import ThreadPoolExecutor
from trunkline.cli import process

process.begin()
pool = ThreadPoolExecutor(2)
pool.submit(print, "by the pool").result()
begun, may_end = threading.Event(), threading.Event()

def last():
    begun.set()
    may_end.wait(30)
    sys.stdout.write("by the thread\\n")

threading.Thread(target=last).start()
begun.wait(30)
atexit.register(print, "at exit")
threading.Timer(0, may_end.set).start()
print("said", end="")
print("warned", end="", file=sys.stderr)
process.end(3)
"""


def test_threads_are_waited_for_exits_run_and_output_is_whole() -> None:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert ended.stdout.startswith("by the pool\n")
    assert "by the thread\n" in ended.stdout
    assert "said" in ended.stdout
    assert ended.stdout.endswith("at exit\n")
    assert ended.stderr == "warned"


def test_a_reader_that_is_gone_changes_no_exit_code() -> None:
    program = "import sys; from trunkline.cli import process; print('x'); sys.stdin.read(); process.end(4)"
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=buffered
    ) as run:
        assert run.stdout is not None
        run.stdout.close()
        run.communicate(timeout=60)
    assert run.returncode == 4


def test_the_command_line_gives_its_exit_code_to_the_shell() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "trunkline", "run", "no-such-use-case"], capture_output=True, check=False
    )
    assert ended.returncode == 2
    assert b"no-such-use-case" in ended.stderr
