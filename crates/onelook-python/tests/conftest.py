"""Weights, images and the binary that results are compared with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import onelook

DATA = os.environ.get("ONELOOK_TEST_DATA")
ROOT = Path(__file__).parents[3]


def data(path: str) -> Path:
    """A file of the test data; in CI its absence is a failure."""
    found = Path(DATA or ROOT / "../shared/data") / path
    if not found.exists():
        if os.environ.get("CI"):
            pytest.fail(f"SKIPPED, and that fails in CI: {found} is missing")
        pytest.skip(f"SKIPPED: {found} is missing; set ONELOOK_TEST_DATA")
    return found


@pytest.fixture(scope="session")
def weights() -> Path:
    return data("weights/yolo11n-recon.pt")


@pytest.fixture(scope="session")
def model(weights: Path) -> onelook.Model:
    return onelook.Model(weights, device="cpu")


@pytest.fixture(scope="session")
def sample() -> Path:
    return ROOT / "assets/sample.jpg"


@pytest.fixture(scope="session")
def command_line() -> list[str]:
    """The binary of this checkout, or the one that was installed with the package."""
    binary = os.environ.get("ONELOOK_BINARY")
    if binary is not None:
        return [binary]
    built = [ROOT / "target" / profile / "onelook" for profile in ("debug", "release")]
    found = [path for path in built if path.is_file()]
    if not found:
        subprocess.run(["cargo", "build", "--locked"], cwd=ROOT, check=True)
        found = built[:1]
    return [str(max(found, key=lambda path: path.stat().st_mtime))]
