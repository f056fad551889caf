"""Results of the outside checks: each is passed, failed or skipped with a reason, printed and kept as JSON.

A skip is never counted as a pass: the last line names it, and the exit status is 1 unless skips were allowed.
"""

import json
import pathlib
import sys
import time
import traceback


class Skipped(Exception):
    """Something this check needs is missing; the message says what."""


class Report:
    def __init__(self, area, quiet=False):
        self.area, self.quiet, self.results, self.notes = area, quiet, [], {}

    def add(self, name, status, detail="", seconds=0.0):
        self.results.append(
            {"area": self.area, "name": name, "status": status, "detail": str(detail), "seconds": round(seconds, 3)}
        )
        if not self.quiet:
            print(f"{status.upper():8} {self.area}: {name}{f' - {detail}' if detail else ''}", flush=True)

    def check(self, name, action):
        """Runs one check: its return value becomes the detail, an exception the reason of the failure."""
        start = time.perf_counter()
        try:
            detail, status = action(), "passed"
        except Skipped as reason:
            detail, status = reason, "skipped"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            detail, status = (
                f"{type(error).__name__}: {error} ({pathlib.Path(where.filename).name}:{where.lineno})",
                "failed",
            )
        self.add(name, status, "" if detail is None else detail, time.perf_counter() - start)
        return status == "passed"

    def extend(self, results):
        self.results += results

    def count(self, status):
        return sum(result["status"] == status for result in self.results)

    def finish(self, json_path=None, allow_missing=False):
        """Prints the sum, writes the JSON, and returns the exit status."""
        passed, failed, skipped = (self.count(status) for status in ("passed", "failed", "skipped"))
        if json_path:
            kept = {
                "passed": passed,
                "failed": failed,
                "skipped": skipped,
                "notes": self.notes,
                "results": self.results,
            }
            pathlib.Path(json_path).write_text(json.dumps(kept, indent=1) + "\n")
        if not self.quiet:
            print(f"{passed} passed, {failed} FAILED, {skipped} SKIPPED", flush=True)
            for result in self.results:
                if result["status"] != "passed":
                    print(
                        f"  {result['status'].upper()}: {result['area']}: {result['name']} - {result['detail']}",
                        flush=True,
                    )
        return 1 if failed or (skipped and not allow_missing) or not passed else 0


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def expect_equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, expected {wanted!r}")


def note(message):
    print(message, file=sys.stderr, flush=True)
