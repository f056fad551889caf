"""`python -m onelook`: the command line."""

import os
import sys
import sysconfig
from pathlib import Path


def find() -> str:
    """The path of the binary that was installed with this package."""
    schemes = [None, f"{os.name}_user"]
    folders = [
        sysconfig.get_path("scripts") if scheme is None else sysconfig.get_path("scripts", scheme)
        for scheme in schemes
    ]
    # `pip install --target DIR` puts scripts into DIR/bin.
    folders.append(str(Path(__file__).parent.parent / "bin"))
    for folder in folders:
        path = Path(folder) / "onelook"
        if path.is_file():
            return str(path)
    raise FileNotFoundError(f"the program 'onelook' is in none of {', '.join(folders)}: install again")


def main() -> None:
    """Becomes the command line."""
    path = find()
    sys.stdout.flush()
    os.execv(path, [path, *sys.argv[1:]])


if __name__ == "__main__":
    main()
