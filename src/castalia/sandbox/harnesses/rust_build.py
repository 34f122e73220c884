"""In a jail with the Rust toolchain: builds what the host gave and leaves `program`, or says why not on stderr.

The candidate is a library file; the program around it is the host's. The compiler runs directly, so there is no build script, no
dependency and no network; procedural macros would need a crate of their own, and there is none.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """0, or 1 with the compiler's words."""
    for step in json.loads(Path("steps.json").read_text(encoding="utf-8")):
        built = subprocess.run(step, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if built.returncode:
            said = built.stderr.decode("utf-8", "replace")
            why = said[max(0, said.find("error")) :][:1500]
            sys.stderr.write(
                f"it does not compile: {why}" if built.returncode > 0 else f"the compiler was ended by signal {-built.returncode}"
            )
            return 1
    for name in os.listdir():  # noqa: PTH208 - names are all that is wanted
        if name != "program":
            os.remove(name)  # noqa: PTH107
    return 0


sys.exit(main())
