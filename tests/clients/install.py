# SPDX-License-Identifier: Apache-2.0
"""Real clients, unpacked into a folder: nothing of the machine is changed, no service is started, and
packages that exclude each other (rsyslog, syslog-ng) stand side by side."""
import glob
import os
import shutil
import subprocess


class Missing(Exception):
    """A client that cannot be had here; the text says why."""


class Store:
    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.root = os.path.join(self.folder, "root")
        self.npm_folder = os.path.join(self.folder, "npm")
        os.makedirs(self.root, exist_ok=True)
        os.makedirs(self.npm_folder, exist_ok=True)

    def _run(self, *command, **more):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, **more)
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise Missing("%s: %s" % (command[0], fault)) from fault
        if done.returncode:
            raise Missing("%s: %s" % (" ".join(command[:3]), (done.stderr or done.stdout).strip()[-300:]))
        return done.stdout

    def _noted(self, names):
        return os.path.join(self.folder, "have-" + "+".join(names).replace("/", "_"))

    def debian(self, *packages):
        """Unpacks the packages, and what they need and is not installed."""
        note = self._noted(packages)
        if os.path.exists(note):
            return
        empty = os.path.join(self.folder, "none")  # what the machine has downloaded before is listed, too
        os.makedirs(os.path.join(empty, "partial"), exist_ok=True)
        out = self._run("apt-get", "-o", "Dir::Cache::archives=" + empty, "install", "-y", "--print-uris", "--no-install-recommends", *packages)
        files = [line.split()[1] for line in out.splitlines() if line.startswith("'")]
        cache = os.path.join(self.folder, "deb")
        os.makedirs(cache, exist_ok=True)
        for name in files:
            package, version = name.split("_")[:2]
            path = os.path.join(cache, name)
            if not os.path.exists(path):
                self._run("apt-get", "download", "%s=%s" % (package, version.replace("%3a", ":")), cwd=cache)
            found = glob.glob(os.path.join(cache, glob.escape(package) + "_*.deb"))
            self._run("dpkg-deb", "-x", found[0], self.root)
        open(note, "w").close()

    def npm(self, *packages):
        note = self._noted(packages)
        if not os.path.exists(note):
            self._run("npm", "install", "--no-audit", "--no-fund", "--prefix", self.npm_folder, *packages)
            open(note, "w").close()

    def program(self, name):
        """Where a program is: unpacked, or installed."""
        for folder in ("usr/sbin", "usr/bin", "usr/lib/systemd", "lib/systemd"):
            path = os.path.join(self.root, folder, name)
            if os.path.exists(path):
                return path
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/systemd:/lib/systemd")
        if not path:
            raise Missing("%s was not found" % name)
        return path

    def path(self, *relative):
        """A file or folder of a package: unpacked, or installed."""
        for root in (self.root, "/"):
            path = os.path.join(root, *relative)
            if os.path.exists(path):
                return path
        raise Missing("%s was not found" % os.path.join(*relative))

    def env(self, **more):
        folders = [os.path.join(self.root, d) for d in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu",
                                                        "usr/lib/x86_64-linux-gnu/slurm-wlm", "usr/lib/aarch64-linux-gnu/slurm-wlm",
                                                        "lib/systemd", "usr/lib/systemd", "usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu/systemd")]
        env = dict(os.environ, LD_LIBRARY_PATH=":".join(f for f in folders if os.path.isdir(f)),
                   NODE_PATH=os.path.join(self.npm_folder, "node_modules"))
        env.update(more)
        return env
