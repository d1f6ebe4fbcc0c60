import platform
import subprocess
import sys

import pytest

# Writes to every page of 256 MiB, four times; counts the pages that the system had to
# find from the second time on.
_SCRIPT = """
import ctypes, resource, sys, threading
from shared.training.host_memory import keep_freed_memory

# A system may find 512 of them at once (PR_SET_THP_DISABLE).
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
if sys.argv[1] == "keep":
    keep_freed_memory()

def work():
    for _ in range(4):
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        b"x" * (256 << 20)

counts = []
# As the twins do: in another thread.
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(counts[3] - counts[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize("keep", ["keep", "leave"])
def test_freed_memory_is_used_again(keep: str) -> None:
    command = [sys.executable, "-c", _SCRIPT, keep]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pages = 256 << 20 >> 12
    if keep == "keep":
        assert int(found) < pages / 100
    else:  # The default, without which there would be nothing to do.
        assert int(found) > pages
