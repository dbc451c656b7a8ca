#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a synthetic multi-rank training log, the same bytes for the same arguments.

usage: gen_log.py OUT MIB SEED [fresh]

With "fresh" behind SEED each line has words of its own, so that no shape of a line comes twice.

About 80 % of the lines come from HEAD (formats of well-known stacks), 17 % from TAIL (made-up
components, a few frequent and most of them rare), 2 % from SURVIVORS, which no generated rule
matches; the last lines are a failure. Lines are made once, in blocks of about 32 KiB that fill a
pool of 16 MiB; the file is written from shuffled blocks in which step number and clock are filled
in afresh, so that a line seldom occurs twice and a GiB takes well under a minute.
No carriage returns: other tools do not take them as line ends. gen_rules.py knows the formats.
"""
import random
import sys

STEP, CLOCK = b"\x01" * 7, b"\x02" * 8  # filled in at writing: step, HH:MM:SS
S, C = STEP.decode(), CLOCK.decode()
POOL_BYTES, BLOCK_BYTES = 16 << 20, 32 << 10
DAY = "2031-03-14"


def head_formats(rng):
    """(weight, function of no arguments that gives a line); the order is that of gen_rules.HEAD."""
    f, i = rng.uniform, rng.randint
    rank = lambda: i(0, 127)
    node = lambda: "gn%03d" % i(1, 16)
    pick = rng.choice
    timers = ("forward-compute", "backward-compute", "batch-generator", "grads-reduce-scatter",
              "params-all-gather", "optimizer-inner-step")
    bar = lambda p: "\u2588" * (p // 10) + " " * (10 - p // 10)

    def tqdm():
        p = i(0, 99)
        return "%2d: Train:  %2d%%|%s| %d/%d [%02d:%02d<%d:%02d:%02d, %5.2fs/it]" % (
            rank(), p, bar(p), p * 40, 4000, i(0, 59), i(0, 59), i(1, 9), i(0, 59), i(0, 59),
            f(.4, 9))

    return [
        (20, lambda: "[default7]: iteration %s/  500000 | consumed samples: %12d | elapsed time per "
         "iteration (ms): %.1f | learning rate: %.3E | global batch size:  1024 | lm loss: %.6E | "
         "loss scale: 1.0 | grad norm: %.3f | number of skipped iterations:   0 | number of nan "
         "iterations:   0 |" % (S, i(10**6, 10**9), f(4e3, 5e3), f(1e-5, 3e-4), f(1, 4), f(.1, 2))),
        (14, lambda: "%3d:     %s %s: (%.2f, %.2f)" % (
            rank(), *(lambda t: (t, "." * (40 - len(t))))(pick(timers)), f(1, 9e2), f(9e2, 4e3))),
        (5, lambda: "[Rank %d] (after %s iterations) memory (MB) | allocated: %.2f | max allocated: "
         "%.2f | reserved: %.1f" % (rank(), S, f(2e4, 6e4), f(2e4, 6e4), f(6e4, 8e4))),
        (10, lambda: "[%s %s,%03d] [INFO] [logging.py:96:log_dist] [Rank 0] step=%s, skipped=%d, "
         "lr=[%.9f], mom=[(0.9, 0.95)]" % (DAY, C, i(0, 999), S, i(0, 9), f(1e-5, 3e-4))),
        (8, lambda: "[%s %s,%03d] [INFO] [timer.py:199:stop] epoch=0/micro_step=%s/global_step=%s, "
         "RunningAvgSamplesPerSec=%.4f, CurrSamplesPerSec=%.4f, MemAllocated=%.2fGB" % (
             DAY, C, i(0, 999), S, S, f(30, 90), f(30, 90), f(9, 60))),
        (9, lambda: "{'loss': %.4f, 'grad_norm': %.6f, 'learning_rate': %.8f, 'epoch': %.2f}" % (
            f(1, 3), f(.1, 3), f(1e-5, 3e-4), f(0, 3))),
        (14, tqdm),
        (16, lambda: "%s:%d:%d [%d] NCCL INFO Channel %02d/0 : %d[%d] -> %d[%d] via P2P/CUMEM" % (
            node(), i(2000, 2999), i(3000, 3999), i(0, 7), i(0, 31), rank(), i(0, 7), rank(),
            i(0, 7))),
        (12, lambda: "%s:%d:%d [%d] NCCL INFO Channel %02d/0 : %d[%d] -> %d[%d] [%s] via "
         "NET/IB/%d/GDRDMA" % (node(), i(2000, 2999), i(3000, 3999), i(0, 7), i(0, 31), rank(),
                               i(0, 7), rank(), i(0, 7), pick(("send", "receive")), i(0, 7))),
        (6, lambda: "%s:%d:%d [%d] NCCL INFO Connected to proxy localRank %d -> connection 0x%012x" %
         (node(), i(2000, 2999), i(3000, 3999), i(0, 7), i(0, 7), i(0, 2**48 - 1))),
        (10, lambda: "[rank%d]:[titan] %s %s,%03d - root - INFO - step: %s  loss: %8.4f  memory: "
         "%5.2fGiB(%.2f%%)  tps: %d,%03d  mfu: %.2f%%" % (
             rank(), DAY, C, i(0, 999), S, f(1, 4), f(30, 70), f(40, 90), i(2, 8), i(0, 999),
             f(20, 45))),
        (9, lambda: '%3d: :::MLLOG {"namespace": "", "time_ms": %d, "event_type": "POINT_IN_TIME", '
         '"key": "tracked_stats", "value": {"train_step_time": %.8f, "reduced_train_loss": %.8f}, '
         '"metadata": {"file": "train.py", "lineno": %d, "step": %s}}' % (
             rank(), i(19 * 10**11, 2 * 10**12), f(.2, 3), f(1, 4), i(50, 500), S)),
        (8, lambda: "(APIServer pid=%d) INFO:     10.20.%d.%d:%d - \"POST /v1/completions HTTP/1.1\" "
         "200 OK" % (i(1000, 9999), i(0, 255), i(1, 254), i(32768, 60999))),
        (6, lambda: "INFO 03-14 %s [loggers.py:%d] Engine %03d: Avg prompt throughput: %.1f tokens/s,"
         " Avg generation throughput: %.1f tokens/s, Running: %d reqs, Waiting: %d reqs, GPU KV cache"
         " usage: %.1f%%" % (C, i(100, 300), i(0, 7), f(10, 9e3), f(10, 2e3), i(0, 99), i(0, 9),
                             f(0, 99))),
        (6, lambda: "(TrainWorker pid=%d, ip=10.20.%d.%d) [%s] batch %s ready in %.2f ms, queue depth"
         " %d" % (i(1000, 9999), i(0, 255), i(1, 254), C, S, f(.1, 90), i(0, 64))),
        (5, lambda: "Epoch: [%d]  [%4d/%d]  eta: 0:%02d:%02d  lr: 0.%06d  loss: %.4f (%.4f)  time: "
         "%.4f  data: %.4f  max mem: %d" % (i(0, 30), i(0, 2999), 3000, i(0, 59), i(0, 59),
                                            i(1, 999), f(1, 4), f(1, 4), f(.1, 2), f(.01, .2),
                                            i(9000, 79000))),
        (5, lambda: "%s %s | INFO | fairseq_cli.train | epoch %03d: %6d / 8000 loss=%.3f, ppl=%.2f, "
         "wps=%.1f, num_updates=%s" % (DAY, C, i(1, 99), i(1, 8000), f(1, 9), f(2, 99), f(1e3, 9e4),
                                       S)),
        (4, lambda: "I0314 %s.%06d %d metric_logger.py:226] completed step: %s, seconds: %.3f, "
         "TFLOP/s/device: %.3f, loss: %.3f" % (C, i(0, 999999), i(10**5, 9 * 10**5), S, f(1, 20),
                                               f(200, 500), f(1, 4))),
        (3, lambda: "/opt/venv/lib/python3.11/site-packages/pkg%02d/util.py:%d: FutureWarning: "
         "`amp.autocast(args...)` is deprecated." % (i(0, 39), i(10, 900))),
        (3, lambda: "%3d: [%s %s] saving checkpoint at iteration %s to /scratch/ckpt/run%02d" % (
            rank(), DAY, C, S, i(0, 40))),
    ]


PARTS = ("feeder", "packer", "sharder", "router", "sampler", "planner", "mixer", "tracker",
         "loader", "profiler", "exporter", "scaler", "prefetch", "balancer", "watcher", "reader")
VERBS = ("refreshed", "drained", "warmed", "rotated", "resized", "synced", "published", "sampled",
         "indexed", "merged")
WHERE = ("disk", "node", "rack", "host", "cache", "queue", "batch", "token", "shard", "graph", "stage", "lane")
WHAT = ("map", "log", "key", "page", "ring", "tree", "pool", "file", "slot", "view", "heap")
TAIL_N = 1980


def tail_name(k):
    """The two words that make component k of TAIL_N; unique for each k. One in ten differs from others in
    its number only."""
    part, group = PARTS[k % 16], k // 16
    name = "%s%03d" % (part, group) if k % 10 == 9 else "_".join((WHERE[group % 12], WHAT[group // 12], part))
    return name, VERBS[(k * 7) % 10]


def tail_line(k, rng):
    part, verb = tail_name(k)
    f, i = rng.uniform, rng.randint
    kind = k % 4
    if kind == 0:
        return "%s %s,%03d - INFO - app.%s - %s %d items in %.2f ms" % (
            DAY, C, i(0, 999), part, verb, i(1, 99999), f(.1, 500))
    if kind == 1:
        return "[rank%d] [%s] %s/%s step=%s ratio=%.4f left=%d" % (
            i(0, 127), C, part, verb, S, f(0, 1), i(0, 99999))
    if kind == 2:
        return '{"ts": "%sT%sZ", "src": "%s", "event": "%s", "rank": %d, "ms": %.3f}' % (
            DAY, C, part, verb, i(0, 127), f(.1, 900))
    return "%s | gn%03d | %s: %s shard %05d of %d (%d bytes)" % (
        C, i(1, 16), part, verb, i(0, 65535), 65536, i(10**5, 10**9))


def survivor(rng):
    f, i = rng.uniform, rng.randint
    return rng.choice((
        lambda: "[%s] node gn%03d: clock drift %.3f ms against the reference" % (C, i(1, 16), f(0, 9)),
        lambda: "resharding plan %08x takes %d moves" % (i(0, 2**32 - 1), i(1, 400)),
        lambda: "  note: buffer %d was grown to %d KiB" % (i(0, 99), i(1, 9999)),
        lambda: "",
    ))()


def failure():
    out = ["[rank5]: Traceback (most recent call last):",
           '[rank5]:   File "/opt/app/train.py", line 212, in <module>',
           "[rank5]:     loss.backward()",
           "[rank5]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.50 GiB. GPU 5 has "
           "a total capacity of 79.10 GiB of which 1.02 GiB is free."]
    out += ["[rank%d]:[E314 11:02:09.%06d ProcessGroupNCCL.cpp:629] [Rank %d] Watchdog caught collective "
            "operation timeout: WorkNCCL(SeqNum=8120, OpType=ALLREDUCE, Timeout(ms)=600000) ran for "
            "600012 milliseconds before timing out." % (r, r * 37, r) for r in range(8) if r != 5]
    return ("\n".join(out) + "\n").encode()


def make_pool(rng):
    heads = head_formats(rng)
    funcs, weights = [h[1] for h in heads], [h[0] for h in heads]
    tail_weights = [1.0 / (k + 6) for k in range(TAIL_N)]
    pool, size = [], 0
    while size < POOL_BYTES:
        lines, n = [], 0
        draws = rng.choices((0, 1, 2), (80, 17, 2), k=420)
        head = iter(rng.choices(funcs, weights, k=420))
        tail = iter(rng.choices(range(TAIL_N), tail_weights, k=420))
        for d in draws:
            line = next(head)() if d == 0 else tail_line(next(tail), rng) if d == 1 else survivor(rng)
            lines.append(line)
            n += len(line) + 1
            if n >= BLOCK_BYTES:
                break
        block = ("\n".join(lines) + "\n").encode()
        pool.append(block)
        size += len(block)
    return pool


def write_fresh(out, target, rng):
    """The same formats, each line with a word that no other has."""
    heads = head_formats(rng)
    funcs, weights = [h[1] for h in heads], [h[0] for h in heads]
    size = 0
    with open(out, "wb") as file:
        while size < target:
            for make in rng.choices(funcs, weights, k=1000):
                word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=12))
                line = (make() + " " + word + "\n").replace(S, "   1000").replace(C, "10:00:00").encode()
                file.write(line)
                size += len(line)


def main():
    if len(sys.argv) == 5 and sys.argv[4] == "fresh":
        return write_fresh(sys.argv[1], int(sys.argv[2]) << 20, random.Random(int(sys.argv[3])))
    if len(sys.argv) != 4:
        sys.exit(__doc__.split("\n\n")[1])
    out, target, rng = sys.argv[1], int(sys.argv[2]) << 20, random.Random(int(sys.argv[3]))
    pool, end = make_pool(rng), failure()
    size, step, second = 0, 1000, 0
    with open(out, "wb", buffering=0) as file:
        while size < target - len(end):
            order = list(range(len(pool)))
            rng.shuffle(order)
            for k in order:
                step, second = step + 1, second + 3
                clock = b"%02d:%02d:%02d" % (second // 3600 % 24, second // 60 % 60, second % 60)
                block = pool[k].replace(STEP, b"%7d" % step).replace(CLOCK, clock)
                room = target - len(end) - size
                if len(block) > room:  # whole lines only
                    block = block[:block.rfind(b"\n", 0, room) + 1]
                    file.write(block)
                    size = target
                    break
                file.write(block)
                size += len(block)
        file.write(end)


if __name__ == "__main__":
    main()
