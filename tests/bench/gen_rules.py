#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write N filter rules for the logs of gen_log.py, the same for the same N.

usage: gen_rules.py N OUT      writes OUT.json (array of regex strings) and OUT.txt (one a line)

The first 20 are for the formats of well-known stacks, the others (at most 1980) for the made-up
components. Patterns use only what PCRE2 and Rust's regex crate agree on: no look-around, no
back references, no bytes over 127.
"""
import json
import re
import sys

from gen_log import TAIL_N, tail_name

CLOCK = r"\d\d:\d\d:\d\d"
DATE = r"\d{4}-\d\d-\d\d " + CLOCK
HEAD = [
    r"iteration\s+\d+/\s*\d+ \| consumed samples:\s+\d+ \| elapsed time per iteration \(ms\): [\d.]+ \|",
    r"^\s*\d+:\s+(?:forward-compute|backward-compute|batch-generator|grads-reduce-scatter|"
    r"params-all-gather|optimizer-inner-step) \.+: \([\d.]+, [\d.]+\)$",
    r"\[Rank \d+\] \(after\s+\d+ iterations\) memory \(MB\) \| allocated: [\d.]+ \|",
    r"\[INFO\] \[logging\.py:\d+:log_dist\] \[Rank \d+\] step=\s*\d+, skipped=\d+, lr=\[[\d.]+\]",
    r"\[INFO\] \[timer\.py:\d+:stop\] epoch=\d+/micro_step=\s*\d+/global_step=\s*\d+, "
    r"RunningAvgSamplesPerSec=[\d.]+",
    r"^\{'loss': [\d.]+, 'grad_norm': [\d.]+, 'learning_rate': [\d.]+, 'epoch': [\d.]+\}$",
    r"\d+%\|.*\| \d+/\d+ \[[\d:]+<[\d:]+, +[\d.]+s/it\]$",
    r"NCCL INFO Channel \d+/\d+ : \d+\[\d+\] -> \d+\[\d+\] via P2P/\w+$",
    r"NCCL INFO Channel \d+/\d+ : \d+\[\d+\] -> \d+\[\d+\] \[(?:send|receive)\] via NET/IB/\d+",
    r"NCCL INFO Connected to proxy localRank \d+ -> connection 0x[0-9a-f]+$",
    r"\[titan\] " + DATE + r",\d+ - root - INFO - step:\s+\d+\s+loss:\s+[\d.]+\s+memory:",
    r':::MLLOG .*"key": "tracked_stats", "value": \{"train_step_time": [\d.]+',
    r'INFO:\s+[\d.]+:\d+ - "(?:GET|POST) [\w/]+ HTTP/1\.1" 200 OK$',
    r"Engine \d+: Avg prompt throughput: [\d.]+ tokens/s, Avg generation throughput: [\d.]+ tokens/s",
    r"^\(\w+ pid=\d+, ip=[\d.]+\) \[" + CLOCK + r"\] batch\s+\d+ ready in [\d.]+ ms",
    r"Epoch: \[\d+\]\s+\[\s*\d+/\d+\]\s+eta: [\d:]+\s+lr: [\d.]+\s+loss: [\d.]+ \([\d.]+\)",
    r"\| INFO \| fairseq_cli\.train \| epoch \d+:\s+\d+ / \d+ loss=[\d.]+",
    r"metric_logger\.py:\d+\] completed step:\s+\d+, seconds: [\d.]+, TFLOP/s/device:",
    r"FutureWarning: `amp\.autocast\(args\.\.\.\)` is deprecated\.$",
    r"saving checkpoint at iteration\s+\d+ to \S+$",
]


def tail_rule(k):
    part, verb = tail_name(k)
    return (
        r"^" + DATE + r",\d+ - INFO - app\." + part + r" - " + verb + r" \d+ items in [\d.]+ ms$",
        r"^\[rank\d+\] \[" + CLOCK + r"\] " + part + "/" + verb + r" step=\s*\d+ ratio=[\d.]+",
        r'"src": "' + part + r'", "event": "' + verb + r'", "rank": \d+, "ms": [\d.]+\}$',
        r"\| gn\d+ \| " + part + ": " + verb + r" shard \d+ of \d+ \(\d+ bytes\)",
    )[k % 4]


def main():
    if len(sys.argv) != 3 or not 1 <= int(sys.argv[1]) <= len(HEAD) + TAIL_N:
        sys.exit(__doc__.split("\n\n")[1])
    rules = (HEAD + [tail_rule(k) for k in range(TAIL_N)])[:int(sys.argv[1])]
    for rule in rules:
        re.compile(rule)
    with open(sys.argv[2] + ".json", "w") as file:
        json.dump(rules, file, indent=2)
        file.write("\n")
    with open(sys.argv[2] + ".txt", "w") as file:
        file.write("\n".join(rules) + "\n")


if __name__ == "__main__":
    main()
