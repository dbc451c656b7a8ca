#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `faultline eval` on a folder of labelled logs; fails below the marks that a change must not
go under, and when confidences are far off. Skipped (status 77) without such a folder.

    check_eval.py PATH/TO/faultline [FOLDER]
"""
import os
import re
import subprocess
import sys

CALIBRATION_MOST = 0.1
LEAST = {"cause right": 65.0, "healthy called healthy": 85.0, "failure noticed": 85.0}


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    if len(sys.argv) == 2 or not os.path.isdir(sys.argv[2]):
        print("skipped: no folder of labelled logs")
        return 77
    done = subprocess.run([sys.argv[1], "eval", sys.argv[2]], stdout=subprocess.PIPE, check=True,
                          stdin=subprocess.DEVNULL)
    text = done.stdout.decode()
    print(text)
    failed = 0
    for name, least in LEAST.items():
        found = re.search(r"^%s +\d+ / \d+ +([\d.]+) %%" % name, text, re.M)
        if not found or float(found.group(1)) < least:
            print("%s is below %.0f %%" % (name, least))
            failed = 1
    found = re.search(r"^calibration error +([\d.]+)", text, re.M)
    if not found or float(found.group(1)) > CALIBRATION_MOST:
        print("confidences are off by more than %.2f" % CALIBRATION_MOST)
        failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
