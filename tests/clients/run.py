#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real, unmodified clients against `faultline serve`: each sends a log with a known failure, and the job's cause is
asked through the API. A client that cannot be had here is reported as skipped, with the reason.

    run.py PATH/TO/faultline [NAME...]        clients are kept in $FL_CLIENTS (else build/clients)
"""
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
from commands import run_tests  # noqa: E402
from fetch import Service, cause, streams  # noqa: E402
from install import Missing, Store  # noqa: E402

STORE = Store(os.environ.get("FL_CLIENTS") or os.path.join(HERE, "..", "..", "build", "clients"))
LINES = ["epoch 0 step 118 loss 2.71 lr 3.0e-4", "epoch 0 step 119 loss 2.69 lr 3.0e-4",
         "Traceback (most recent call last):", '  File "/home/ada/train.py", line 88, in <module>', "    loss.backward()",
         "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.02 GiB. GPU 0 has a total capacity of 79.15 GiB of which "
         "1.07 GiB is free."]
XID = "NVRM: Xid (PCI:0000:87:00): 79, pid=4711, GPU has fallen off the bus."


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def at_home(folder):
    """What begins the command of a program that looks for `folder` there, when it is only unpacked."""
    if os.path.exists(os.path.join(folder, "alertmanager", "default.tmpl")):
        return []
    return ["unshare", "-rm", "sh", "-c", 'unpacked=$1 && shift && mount -t tmpfs none %s && mkdir %s && mount --bind "$unpacked" %s && exec "$@"'
            % (os.path.dirname(folder), folder, folder), "sh", STORE.path(folder.lstrip("/"))]


class Started:
    """A program that runs meanwhile; what it says is kept for the report."""

    def __init__(self, case, *command, **more):
        self.case, self.name = case, os.path.basename(command[0])
        self.log = os.path.join(case.folder, self.name + ".said")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT,
                                        env=STORE.env(**more.pop("env", {})), **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.case.faults:
            self.case.faults.append("%s said: %s" % (self.name, open(self.log, errors="replace").read()[-800:]))
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def client(test):
    """A client that is missing skips the test."""
    def run(case):
        try:
            test(case)
        except Missing as why:
            case.skipped = str(why)
    run.__name__ = test.__name__
    return run


def expect(c, service, job, want="gpu_oom", lines=None, seconds=40):
    got = service.job(job, lambda j: cause(j) == want and (lines is None or j["lines"] >= lines), seconds)
    c.check(cause(got) == want, "job %s: cause %s instead of %s; %s lines, state %s, streams %s" % (
        job, cause(got), want, got.get("lines"), got.get("state"), streams(got)))
    return got


# ---------------------------------------------------------------------------------------------- libraries

def javascript(c, kind, *packages):
    STORE.npm(*packages)
    with Service(c, "--rest", "3") as s:
        done = subprocess.run(["node", os.path.join(HERE, "client.js"), kind, "http://127.0.0.1:%d" % s.port, kind + "-job"],
                              input="\n".join(LINES), text=True, capture_output=True, timeout=60, env=STORE.env())
        c.check(done.returncode == 0, "%s: %s" % (kind, done.stderr[-800:]))
        job = expect(c, s, kind + "-job")
        c.check(job.get("lines") == len(LINES), "%s lines instead of %d" % (job.get("lines"), len(LINES)))


@client
def test_winston_loki(c):
    javascript(c, "winston-loki", "winston", "winston-loki")


@client
def test_winston_loki_json(c):
    javascript(c, "winston-loki-json", "winston", "winston-loki")


@client
def test_pino_loki(c):
    javascript(c, "pino-loki", "pino", "pino-loki")


OTEL = ("@opentelemetry/api-logs", "@opentelemetry/sdk-logs", "@opentelemetry/resources")


@client
def test_otlp_json(c):
    javascript(c, "otlp-json", *OTEL, "@opentelemetry/exporter-logs-otlp-http")


@client
def test_otlp_proto(c):
    javascript(c, "otlp-proto", *OTEL, "@opentelemetry/exporter-logs-otlp-proto")


# ---------------------------------------------------------------------------------------------- syslog daemons

def rsyslog(c, log, actions):
    STORE.debian("rsyslog", "rsyslog-elasticsearch")
    conf = c.write("rsyslog.conf", """
global(workDirectory="%s")
module(load="imfile" mode="polling" pollingInterval="1")
input(type="imfile" File="%s" Tag="train:" addMetadata="on")
%s
""" % (c.folder, log, actions))
    return Started(c, STORE.program("rsyslogd"), "-n", "-f", conf, "-i", os.path.join(c.folder, "rsyslog.pid"), "-M",
                   STORE.path("usr/lib", os.uname().machine + "-linux-gnu", "rsyslog"))


@client
def test_rsyslog_elasticsearch(c):
    log = c.write("slurm-7731.out", "\n".join(LINES) + "\n")
    with Service(c, "--rest", "3") as s, rsyslog(c, log, """
module(load="omelasticsearch")
template(name="faultline" type="list" option.jsonf="on") {
    property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="hostname" name="hostname" format="jsonf")
    property(outname="filename" name="$!metadata!filename" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
}
action(type="omelasticsearch" server="127.0.0.1" serverport="%d" template="faultline" searchIndex="logs" bulkmode="on"
       action.resumeRetryCount="-1")
""" % s.port):
        expect(c, s, "slurm-7731", lines=len(LINES))


@client
def test_rsyslog_tcp(c):
    log = c.write("kern.log", XID + "\n")
    with Service(c, "--rest", "3", "--syslog", "127.0.0.1:0") as s, rsyslog(c, log, """
action(type="omfwd" target="127.0.0.1" port="%d" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
""" % s.syslog):
        expect(c, s, "node." + socket.gethostname().split(".")[0], "gpu_lost")


@client
def test_syslog_ng(c):
    STORE.debian("syslog-ng-core", "syslog-ng-mod-http")
    log = c.write("train.log", "\n".join(LINES) + "\n")
    modules = STORE.path("usr/lib/syslog-ng/3.38")
    with Service(c, "--rest", "3") as s:
        conf = c.write("syslog-ng.conf", """@version: 3.38
source train { file("%s" follow-freq(1) flags(no-parse)); };
destination faultline {
  http(url("http://127.0.0.1:%d/api/v1/ingest?job=syslog-ng-job") method("POST") headers("Content-Type: application/x-ndjson")
       body("$(format-json message=$MESSAGE host=$HOST isodate=$ISODATE)") delimiter("\\n") batch-lines(100) batch-timeout(500));
};
log { source(train); destination(faultline); };
""" % (log, s.port))
        files = [a + os.path.join(c.folder, b) for a, b in (("--persist-file=", "persist"), ("--pidfile=", "pid"), ("--control=", "ctl"))]
        with Started(c, STORE.program("syslog-ng"), "-F", "-f", conf, "--module-path=" + modules, "--no-caps", *files):
            expect(c, s, "syslog-ng-job", lines=len(LINES))


@client
def test_journal_upload(c):
    STORE.debian("systemd-journal-remote")
    now = int(time.time() * 1e6)
    entry = "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032x\n_HOSTNAME=gpu-a17\n_TRANSPORT=kernel\nPRIORITY=3\n" \
            "SYSLOG_IDENTIFIER=kernel\nMESSAGE=%s\n\n"
    export = c.write("export", "".join(entry % (now + i, 1000 + i, 7, text) for i, text in enumerate(["usb 1-1: new device", XID])))
    made = subprocess.run([STORE.program("systemd-journal-remote"), "-o", os.path.join(c.folder, "j.journal"), export],
                          capture_output=True, text=True, timeout=30, env=STORE.env())
    if not os.path.exists(os.path.join(c.folder, "j.journal")):
        raise Missing("no journal could be made: " + made.stderr[-200:])
    with Service(c, "--rest", "3") as s:
        with Started(c, STORE.program("systemd-journal-upload"), "--url=http://127.0.0.1:%d" % s.port, "-D", c.folder,
                     "--save-state=" + os.path.join(c.folder, "at")):
            expect(c, s, "node.gpu-a17", "gpu_lost")


# ---------------------------------------------------------------------------------------------- Prometheus

@client
def test_prometheus(c):
    STORE.debian("prometheus")
    with Service(c) as s:
        s.ask("/api/v1/ingest?job=p&end=1", "\n".join(LINES))
        s.job("p")
        text = s.ask("/metrics")[1]
        lint = subprocess.run([STORE.program("promtool"), "check", "metrics"], input=text, text=True, capture_output=True, timeout=30)
        c.check(lint.returncode == 0, "promtool check metrics: " + lint.stdout + lint.stderr)
        port = free_port()
        conf = c.write("prometheus.yml", "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: faultline\n"
                       "  static_configs: [{targets: ['127.0.0.1:%d']}]\n" % s.port)
        with Started(c, STORE.program("prometheus"), "--config.file=" + conf, "--storage.tsdb.path=" + os.path.join(c.folder, "tsdb"),
                     "--web.listen-address=127.0.0.1:%d" % port):
            end = time.time() + 30
            value = None
            while value != "1" and time.time() < end:
                time.sleep(0.5)
                try:
                    with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/query?query=up" % port, timeout=10) as answer:
                        value = json.load(answer)["data"]["result"][0]["value"][1]
                except (OSError, LookupError):
                    continue
            c.check(value == "1", "up is %s" % value)


@client
def test_alertmanager_to_us(c):
    STORE.debian("prometheus-alertmanager")
    port = free_port()
    with Service(c, "--rest", "600") as s:
        conf = c.write("alertmanager.yml", "route: {receiver: faultline, group_wait: 1s, group_by: [job_name]}\nreceivers:\n- name: faultline\n"
                       "  webhook_configs: [{url: 'http://127.0.0.1:%d/api/v1/alerts', send_resolved: false}]\n" % s.port)
        s.ask("/api/v1/ingest?job=train-x", "\n".join(LINES) + "\n")
        with Started(c, *at_home("/usr/share/prometheus"), STORE.program("prometheus-alertmanager"), "--config.file=" + conf, "--storage.path=" + os.path.join(c.folder, "am"),
                     "--web.listen-address=127.0.0.1:%d" % port, "--cluster.listen-address="):
            end = time.time() + 20
            while time.time() < end:
                added = subprocess.run([STORE.program("amtool"), "--alertmanager.url=http://127.0.0.1:%d" % port, "alert", "add",
                                        "alertname=KubeJobFailed", "job_name=train-x", "namespace=ml"], capture_output=True, timeout=20)
                if added.returncode == 0:
                    break
                time.sleep(0.5)
            job = s.job("train-x", lambda j: j["state"] == "ended" and j["final"])
            c.check(job["state"] == "ended" and cause(job) == "gpu_oom", "state %s, cause %s" % (job["state"], cause(job)))
            c.check(job["facts"].get("alert", {}).get("alertname") == "KubeJobFailed", job["facts"])


# ---------------------------------------------------------------------------------------------- Slurm

SLURM = """
ClusterName=testing
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld}
SlurmdPort={d}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
PluginDir={plugins}
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/d
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
ReturnToService=2
SchedulerType=sched/builtin
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/elasticsearch
JobCompLoc=http://slurm:{token}@127.0.0.1:{port}/slurm/_doc
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=10 State=UP
"""


class Slurm:
    """munged, slurmctld and slurmd of this one machine."""

    def __init__(self, c, port, token):
        STORE.debian("munge", "slurm-wlm", "slurm-wlm-elasticsearch-plugin")
        plugins = STORE.path("usr/lib", os.uname().machine + "-linux-gnu", "slurm-wlm")
        self.conf = os.path.join(c.folder, "slurm.conf")
        self.started = []
        for folder in ("munge", "ctld", "d"):
            os.makedirs(os.path.join(c.folder, folder), mode=0o700)
        os.chmod(c.folder, 0o755)
        c.write("slurm.conf", SLURM.format(host=socket.gethostname().split(".")[0], user=pwd.getpwuid(os.getuid()).pw_name, ctld=free_port(),
                                           d=free_port(), folder=c.folder, plugins=plugins, port=port, token=token, cpus=os.cpu_count()))
        c.write("cgroup.conf", "CgroupPlugin=cgroup/v%d\n" % (2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1))
        with open(os.path.join(c.folder, "munge", "key"), "wb") as f:
            f.write(os.urandom(1024))
        os.chmod(os.path.join(c.folder, "munge", "key"), 0o600)
        at = os.path.join(c.folder, "munge")
        self.c = c
        try:
            self.run("munged", "-F", "--force", "--key-file=%s/key" % at, "--socket=%s/socket" % at, "--pid-file=%s/pid" % at,
                     "--log-file=%s/log" % at, "--seed-file=%s/seed" % at)
            time.sleep(1)
            os.chmod(at, 0o755)
            self.run("slurmctld-wlm", "-D", "-f", self.conf)
            time.sleep(1)
            self.run("slurmd-wlm", "-D", "-f", self.conf, "-d", STORE.program("slurmstepd-wlm"))
        except BaseException:
            self.__exit__()
            raise

    def run(self, name, *args):
        self.started.append(Started(self.c, STORE.program(name), *args, env={"SLURM_CONF": self.conf}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in reversed(self.started):
            program.__exit__()

    def command(self, name, *args):
        done = subprocess.run([STORE.program(name), *args], capture_output=True, text=True, timeout=60, cwd=self.c.folder,
                              env=STORE.env(SLURM_CONF=self.conf))
        return done.stdout.strip() or done.stderr.strip()


@client
def test_slurm(c):
    """A batch job that fails becomes an incident with its cause, and a good one is healthy, with no script of ours anywhere."""
    c.write("bad.sh", "#!/bin/sh\n#SBATCH --output=out/%x-%4j.log\nTOKEN=do-not-keep-me-4711\n" +
            "".join("echo '%s'\n" % line for line in LINES) + "exit 1\n")
    c.write("good.sh", "#!/bin/sh\n" + "".join("echo 'step %d/50 loss %.2f'\n" % (i, 3 - i / 50) for i in range(1, 51)) +
            "echo 'Training complete'\n")
    os.makedirs(os.path.join(c.folder, "out"))
    tokens = [re.search(r"\S{30,}", c.run("token", "add", name, "--scope", name).out)[0] for name in ("ingest", "read")]
    with Service(c, "--rest", "3", "--log-root", c.folder) as s, Slurm(c, s.port, tokens[0]) as slurm:
        s.token = tokens[1]
        end = time.time() + 40
        while "idle" not in slurm.command("sinfo", "-h", "-o", "%T") and time.time() < end:
            for program in slurm.started:
                if program.process.poll() is not None:
                    raise Missing("%s does not run here: %s" % (program.name, open(program.log, errors="replace").read()[-300:]))
            time.sleep(0.5)
        bad = slurm.command("sbatch", "--parsable", "--job-name=train", "bad.sh")
        good = slurm.command("sbatch", "--parsable", "good.sh")
        array = slurm.command("sbatch", "--parsable", "--array=4", "--output=array-%A_%a.err", "bad.sh")
        if not c.check(bad.isdigit() and good.isdigit(), "sbatch said: %s | %s" % (bad, good)):
            return
        job = s.job("slurm-" + bad, lambda j: j["state"] == "ended" and j["final"], 60)
        c.check(cause(job) == "gpu_oom" and (job.get("incident") or "").startswith("inc-"), "bad.sh: %s" % str(job)[:600])
        facts = job.get("facts", {})
        c.check(facts.get("slurm", {}).get("state") == "FAILED" and facts["slurm"]["exit_code"] == "1:0" and facts["log"]["state"] == "read", facts)
        c.check(list(streams(job)) == ["train-%04d.log" % int(bad)], streams(job))
        c.check("do-not-keep-me" not in str(job), "the script was kept")
        job = s.job("slurm-%s_4" % array, lambda j: j["state"] == "ended" and j["final"], 60)
        c.check(cause(job) == "gpu_oom", "the array's: %s" % str(job)[:400])
        job = s.job("slurm-" + good, lambda j: j["state"] == "ended" and j["final"], 60)
        c.check((job.get("verdict") or {}).get("verdict") == "healthy", "good.sh: %s" % str(job)[:400])


# ---------------------------------------------------------------------------------------------- deployment files

DEPLOY = os.path.join(HERE, "..", "..", "service", "deploy")


@client
def test_systemd_unit(c):
    unit = open(os.path.join(DEPLOY, "faultline.service.in")).read()
    unit = unit.replace("@CMAKE_INSTALL_FULL_BINDIR@/faultline", c.binary).replace("@CMAKE_INSTALL_FULL_DATADIR@", "/usr/share")
    path = c.write("faultline.service", unit)
    done = subprocess.run([STORE.program("systemd-analyze"), "verify", path], capture_output=True, text=True, timeout=60)
    c.check(done.returncode == 0 and "faultline.service" not in done.stderr, "systemd-analyze verify: " + done.stderr[-600:])


@client
def test_kustomization(c):
    folder = os.path.join(c.folder, "k")
    shutil.copytree(os.path.join(DEPLOY, "kubernetes"), folder)
    c.run("token", "add", "shippers")
    shutil.copy(os.path.join(c.state, "tokens.json"), folder)
    done = subprocess.run([STORE.program("kubectl"), "kustomize", folder], capture_output=True, text=True, timeout=60)
    c.check(done.returncode == 0 and "kind: StatefulSet" in done.stdout and "image: faultline:0.1.0" in done.stdout, done.stderr[-600:])


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv))
