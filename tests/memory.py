"""Peak memory of processes, without what `ru_maxrss` inherits.

Linux keeps the peak of a process over `execve`, so that the `ru_maxrss` of a command is at least the memory of the
process that started it: a test late in a long run would measure the tests before it.
"""

import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def own_peak_mb() -> int:
    """The most memory that this process held at once since its program began, in MiB."""
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) // 1024


def peak_mb(command: Sequence[str], *, cwd: Path) -> int:
    """The most memory that a command held at once, in MiB: that of the largest of its processes.

    A small process starts it, so that what the command inherits is small; what the command prints is dropped.

    Raises:
        subprocess.CalledProcessError: The command failed; with its standard error.
    """
    starter = [sys.executable, "-S", __file__, *command]
    done = subprocess.run(starter, cwd=cwd, check=True, capture_output=True, text=True)
    return int(done.stdout)


if __name__ == "__main__":
    ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024}\n")
    sys.exit(ended.returncode)
