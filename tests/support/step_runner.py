"""A cluster for moto: takes the steps that are given to it, really runs their commands, and tells their states.

moto never runs a step, and knows no CancelSteps. The commands run on this machine as they would on a cluster's master
node, with tests.support.cluster_programs first on the PATH in place of the programs that are there.
"""

import contextlib
import gzip
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from moto.core.responses import ActionResult
from moto.emr.models import emr_backends
from moto.emr.responses import ElasticMapReduceResponse

from tests.support.moto import KEYS

REGION = "us-east-1"
ACCOUNT = "123456789012"
_LOOK = 0.02  # seconds between two looks for steps
_PROGRAMS = Path(__file__).parent / "cluster_programs"


@dataclass
class _Running:
    step: Any
    process: subprocess.Popen[bytes]
    folder: Path


class StepRunner:
    """Runs the steps of the clusters that log to the bucket; `environment` is for their programs."""

    def __init__(self, *, url: str, bucket: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._url = url
        self._logs = f"s3://{bucket}/"
        self._folder = folder
        self._environment = environment
        self._running: dict[str, _Running] = {}
        self._seen: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="step-runner")
        self._s3 = boto3.client(
            "s3", endpoint_url=url, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        self.held = False  # steps stay PENDING meanwhile
        self.writes_logs = True

    @property
    def pids(self) -> list[int]:
        return [running.process.pid for running in self._running.values()]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        for running in self._running.values():
            _signal(running.process, signal.SIGKILL)
            running.process.wait()

    def cancel(self, step_id: str, *, force: bool) -> str:
        """As CancelSteps does: what waits is cancelled, what runs is interrupted."""
        running = self._running.get(step_id)
        if running is not None:
            running.step.cancelled = True
            _signal(running.process, signal.SIGKILL if force else signal.SIGTERM)
            return "SUBMITTED"
        for _, step in self._steps():
            if step.id == step_id and step.state in {"PENDING", "RUNNING"}:
                self._seen.add(step_id)
                _end(step, "CANCELLED")
                return "SUBMITTED"
        return "FAILED"

    def _loop(self) -> None:
        while not self._stopping.wait(_LOOK):
            for cluster, step in self._steps():
                if step.id not in self._seen:
                    if self.held:
                        step.state = "PENDING"
                    else:
                        self._seen.add(step.id)
                        self._begin(cluster, step)
            for running in list(self._running.values()):
                if running.process.poll() is not None:
                    self._finish(running)

    def _steps(self) -> list[tuple[Any, Any]]:
        clusters = list(emr_backends[ACCOUNT][REGION].clusters.values())
        own = [cluster for cluster in clusters if (cluster.log_uri or "").startswith(self._logs)]
        for cluster in own:
            if cluster.id not in self._seen:
                self._seen.add(cluster.id)
                cluster.state = "WAITING"  # moto has one that CloudFormation made in TERMINATED at once
        return [(cluster, step) for cluster in own for step in list(cluster.steps)]

    def _begin(self, cluster: Any, step: Any) -> None:
        folder = self._folder / step.id
        folder.mkdir(parents=True)
        step.state = "RUNNING"
        step.start_date_time = datetime.now(UTC).replace(tzinfo=None)
        step.cluster = cluster
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                self._command(step, folder),
                cwd=folder,
                env={
                    **os.environ,
                    **self._environment,
                    "PATH": self._path(),
                    "CLUSTER_S3": self._url,
                    "PYTHONWARNINGS": "ignore",
                },
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._running[step.id] = _Running(step, process, folder)

    @staticmethod
    def _path() -> str:
        """The stand-ins first, then the Python of the tests."""
        return ":".join([str(_PROGRAMS), str(Path(sys.executable).parent), os.environ["PATH"]])

    def _command(self, step: Any, folder: Path) -> list[str]:
        """As command-runner.jar and script-runner.jar do: no shell reads it."""
        jar, args = step.jar, list(step.args)
        if jar == "command-runner.jar":
            return args
        assert jar == f"s3://{REGION}.elasticmapreduce/libs/script-runner/script-runner.jar", jar
        bucket, _, key = args[0].removeprefix("s3://").partition("/")
        script = folder / "script"
        script.write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return [str(script), *args[1:]]

    def _finish(self, running: _Running) -> None:
        step, code = running.step, running.process.returncode
        if self.writes_logs and step.cluster.log_uri:
            self._write_logs(running)
        del self._running[step.id]
        if getattr(step, "cancelled", False):
            _end(step, "CANCELLED")
        else:
            _end(step, "COMPLETED" if code == 0 else "FAILED")

    def _write_logs(self, running: _Running) -> None:
        bucket, _, prefix = running.step.cluster.log_uri.removeprefix("s3://").partition("/")
        for name in ("stdout", "stderr"):
            key = f"{prefix.strip('/')}/{running.step.cluster.id}/steps/{running.step.id}/{name}.gz"
            self._s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress((running.folder / name).read_bytes()))


_AT_WORK: list[StepRunner] = []  # moto's state is the process's own, and so are those who act on it


@contextlib.contextmanager
def running_steps(url: str, *, bucket: str, folder: Path, environment: Mapping[str, str]) -> Iterator[StepRunner]:
    """A runner at work, with CancelSteps taught to moto."""
    ElasticMapReduceResponse.cancel_steps = _cancel_steps
    runner = StepRunner(url=url, bucket=bucket, folder=folder, environment=environment)
    _AT_WORK.append(runner)
    runner.start()
    try:
        yield runner
    finally:
        _AT_WORK.remove(runner)
        runner.stop()


def _cancel_steps(request: Any) -> ActionResult:
    force = request._get_param("StepCancellationOption") == "TERMINATE_PROCESS"
    told = [
        {"StepId": id_, "Status": runner.cancel(id_, force=force)}
        for id_ in request._get_param("StepIds")
        for runner in list(_AT_WORK)
    ]
    return ActionResult({"CancelStepsInfoList": told})


def make_stack(url: str, *, name: str, bucket: str, **parameters: str) -> None:
    """A stack with a cluster, unless its generation is `off`, and the bucket that it logs to."""
    keys = {"aws_access_key_id": KEYS["access_key"], "aws_secret_access_key": KEYS["secret_key"]}
    made = {service: boto3.client(service, endpoint_url=url, region_name=REGION, **keys) for service in _SERVICES}
    made["s3"].create_bucket(Bucket=bucket)
    made["cloudformation"].create_stack(
        StackName=name,
        TemplateBody=json.dumps(_template(bucket)),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )


def set_state(cluster: str, state: str) -> None:
    emr_backends[ACCOUNT][REGION].clusters[cluster].state = state


_SERVICES = ("s3", "cloudformation")


def _template(bucket: str) -> dict[str, Any]:
    return {
        "Parameters": {
            "ClusterGeneration": {"Type": "String", "Default": "first"},
            "InstanceType": {"Type": "String", "Default": "m5.xlarge"},
        },
        "Conditions": {"HasCluster": {"Fn::Not": [{"Fn::Equals": [{"Ref": "ClusterGeneration"}, "off"]}]}},
        "Resources": {
            "Cluster": {
                "Type": "AWS::EMR::Cluster",
                "Condition": "HasCluster",
                "Properties": {
                    "Name": {"Fn::Sub": "data-phantom-${ClusterGeneration}"},
                    "JobFlowRole": "EMR_EC2_DefaultRole",
                    "ServiceRole": "EMR_DefaultRole",
                    "ReleaseLabel": "emr-7.13.0",
                    "LogUri": f"s3://{bucket}/logs/",
                    "Instances": {
                        "MasterInstanceGroup": {"InstanceCount": 1, "InstanceType": {"Ref": "InstanceType"}},
                        "CoreInstanceGroup": {"InstanceCount": 1, "InstanceType": {"Ref": "InstanceType"}},
                    },
                },
            }
        },
    }


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end(step: Any, state: str) -> None:
    step.end_date_time = datetime.now(UTC).replace(tzinfo=None)
    step.state = state
