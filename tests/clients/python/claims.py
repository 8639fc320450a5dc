"""Claims for the suites written in Python: one line `ok - …` or `not ok - …` each, read by `cargo xtask test`."""

import os
import sys
import traceback

BOOTSTRAP = os.environ["BOOTSTRAP"]
_claims = []


def claim(text):
    """Registers a function as the proof of a claim; claims are proven in the order in which they stand."""

    def register(proof):
        _claims.append((text, proof))
        return proof

    return register


def prove():
    for text, proof in _claims:
        try:
            proof()
        except Exception:
            print(f"not ok - {text}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
        else:
            print(f"ok - {text}")
        sys.stdout.flush()


def equal(got, expected):
    if got != expected:
        raise AssertionError(f"got {got!r}, expected {expected!r}")
