"""Members that a real ssh starts, on two addresses of this machine that stand for two machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssdreg.data.synthetic import write_shapes
from ssdreg.launching.launch import free_port
from ssdreg.runs.log import read_log

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = [pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine"),
              pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh")]

MACHINES = ("127.0.0.1", "127.0.0.2")


@pytest.fixture
def ssh(tmp_path_factory):
    """A folder for the path with an `ssh` that has the key to a server of this test's own."""
    folder = tmp_path_factory.mktemp("ssh")
    folder.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name],
                       check=True)
    port = free_port()
    (folder / "sshd_config").write_text("\n".join([
        f"Port {port}", *(f"ListenAddress {address}" for address in MACHINES),
        f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/user.pub", "StrictModes no",
        f"PidFile {folder}/pid", "UsePAM no", "PermitRootLogin prohibit-password"]),
        encoding="utf-8")
    command = folder / "bin" / "ssh"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F /dev/null -p {port} -i {folder}/user '
        f'-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known "$@"\n',
        encoding="utf-8")
    command.chmod(0o700)
    if os.geteuid() == 0:  # where sshd wants an empty folder, which a package's start makes
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"],
                          stderr=subprocess.PIPE, text=True) as server:
        try:
            await_answer(command, server)
            yield command.parent
        finally:
            server.terminate()


def await_answer(command, server):
    until = time.monotonic() + 30
    while subprocess.run([command, "-o", "BatchMode=yes", MACHINES[1], "true"],
                         capture_output=True).returncode:
        assert server.poll() is None, server.stderr.read()
        assert time.monotonic() < until, "sshd does not answer"
        time.sleep(.1)


def test_two_machines_train_and_leave_nothing(ssh, tmp_path):
    write_shapes(tmp_path / "shapes", 16, 4, (64, 64))
    (tmp_path / "machines").write_text("\n".join(MACHINES), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ssdreg", "launch", "--workers", "2", "--hosts", "machines",
         "--port", str(free_port()), "--", "train", "--engine", "mxnet", "--backbone", "resnet18",
         "--data-shape", "64", "--tap-strides", "8,16", "--batch-size", "8", "--epochs", "2",
         "--data", "shapes", "--out", "run", "--no-pretrained"],
        cwd=tmp_path, text=True, capture_output=True, timeout=300,
        env={**os.environ, "PATH": f"{ssh}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "by 2 processes" in done.stdout
    assert [epoch.epoch for epoch in read_log(tmp_path / "run" / "log.csv")] == [1, 2]
