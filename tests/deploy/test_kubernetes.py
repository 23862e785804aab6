"""deploy/kubernetes: every object is valid, fits the others, and names what the code has."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.core.management import get_commands
from django.db import connection
from django.urls import resolve
from django.utils import timezone
from jsonschema import Draft202012Validator

from jobs.models.job import Job
from jobs.models.pause import Pause
from jobs.states import Status
from tests.deploy.compose import image_environment, stages
from tests.deploy.kustomize import Object, build, containers, pod_of
from tests.service import REPOSITORY
from upscaler_site.conf import env
from upscaler_site.process.programs import SUPERVISOR_MARGIN
from upscaler_site.serve import PARTS, STOP_MARGIN_SECONDS

ROOT = REPOSITORY / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (ROOT / "overlays").iterdir())
#: What Kubernetes's own schemas cannot know.
KEDA = Draft202012Validator(json.loads((Path(__file__).parent / "keda.schema.json").read_text()))


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return build(ROOT / "overlays" / request.param)


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def workloads(objects: list[Object]) -> list[Object]:
    return [each for each in objects if pod_of(each)]


def test_every_object_is_valid_to_its_last_field(objects: list[Object]) -> None:
    for each in objects:
        if each["apiVersion"].startswith("keda.sh/"):
            assert [error.message for error in KEDA.iter_errors(each)] == []
        else:
            kubernetes_validate.validate(each, "1.37.0", strict=True)


def test_an_unknown_field_would_be_noticed() -> None:
    scaled = named(build(ROOT / "overlays" / "nvidia-keda"), "ScaledObject", "worker-gpu")
    assert not KEDA.is_valid(scaled | {"spec": scaled["spec"] | {"minReplicas": 0}})
    web = named(build(ROOT / "overlays" / "cpu"), "Deployment", "web")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(web | {"spec": web["spec"] | {"replica": 2}}, "1.37.0", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_builds_the_same(overlay: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on this machine")
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def ordered(objects: list[Object]) -> list[str]:
        return sorted(json.dumps(_without_order(each), sort_keys=True) for each in objects)

    ours = build(ROOT / "overlays" / overlay)
    assert ordered(ours) == ordered([each for each in yaml.safe_load_all(done.stdout) if each])


def _without_order(each: Any) -> Any:
    """The same, lists of variables and volumes sorted by name: a merge may put new ones first or last."""
    if isinstance(each, dict):
        return {name: _without_order(value) for name, value in each.items()}
    if isinstance(each, list):
        items = [_without_order(item) for item in each]
        return sorted(items, key=lambda item: item["name"]) if all(_is_named(item) for item in items) else items
    return each


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and "name" in item


def test_every_file_is_named_by_a_kustomization() -> None:
    for folder in (path.parent for path in ROOT.rglob("kustomization.yaml")):
        said = yaml.safe_load((folder / "kustomization.yaml").read_text())
        wanted = {*said.get("resources", []), *(each["path"] for each in said.get("patches", []) if "path" in each)}
        there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert there == {name for name in wanted if name.endswith(".yaml")}, folder


def test_the_readmes_own_overlay_is_one_that_works(tmp_path: Path) -> None:
    copied = tmp_path / "kubernetes"
    shutil.copytree(ROOT, copied)
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (copied / "mine").mkdir()
    (copied / "mine" / "kustomization.yaml").write_text(example)
    made = build(copied / "mine")
    assert all(one["image"].startswith("registry.example.org/") for each in made for one in containers(each))
    assert named(made, "Ingress", "web")["spec"]["rules"][0]["host"] == "up.example.org"


def test_selectors_find_their_pods_and_references_their_objects(objects: list[Object]) -> None:
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in workloads(objects)]

    def found(selector: dict[str, str]) -> bool:
        return any(selector.items() <= labels.items() for labels in pods)

    for each in objects:
        spec = each.get("spec", {})
        selectors = [
            spec.get("selector") if each["kind"] == "Service" else spec.get("selector", {}).get("matchLabels"),
            spec.get("podSelector", {}).get("matchLabels"),
        ]
        assert all(found(selector) for selector in selectors if selector), each["metadata"]["name"]
    for each in workloads(objects):
        template = each["spec"]["template"]
        assert (
            each["kind"] == "Job"
            or each["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        )
        volumes = {volume["name"] for volume in pod_of(each)["volumes"]}
        for container in containers(each):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    named(objects, "ConfigMap", source["configMapRef"]["name"])
    service = named(objects, "Service", "web")
    ports = [port["name"] for one in containers(named(objects, "Deployment", "web")) for port in one.get("ports", [])]
    assert service["spec"]["ports"][0]["targetPort"] in ports
    (path,) = named(objects, "Ingress", "web")["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    for each in objects:
        if each["kind"] == "ScaledObject":
            named(objects, "Deployment", each["spec"]["scaleTargetRef"]["name"])
            for trigger in each["spec"]["triggers"]:
                named(objects, "TriggerAuthentication", trigger["authenticationRef"]["name"])


def test_every_pod_is_confined(objects: list[Object]) -> None:
    for each in workloads(objects):
        pod = pod_of(each)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001}.items()
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(each):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_secrets_are_referred_to_and_never_written(objects: list[Object]) -> None:
    assert not [each for each in objects if each["kind"] == "Secret"]
    secret = {variable.name for variable in env.VARIABLES.values() if re.search("SECRET|PASSWORD", variable.name)}
    secret |= {"DATABASE_URL", "DATABASE_PASSWORD", "BROKER_URL", "AWS_ACCESS_KEY_ID"}  # the last with its secret
    for each in objects:
        assert not secret & set(each.get("data", {}))
    for each in workloads(objects):
        for container in containers(each):
            assert not secret & {variable["name"] for variable in container.get("env", [])}
            assert container["envFrom"][-1] == {"secretRef": {"name": "upscaler"}}, "whatever stands there is a setting"


def test_variables_are_settings_of_the_service(objects: list[Object]) -> None:
    known = {variable.name for variable in env.VARIABLES.values()}
    assert set(named(objects, "ConfigMap", "upscaler-settings")["data"]) <= known
    for each in workloads(objects):
        for container in containers(each):
            assert {variable["name"] for variable in container.get("env", [])} <= known


def _python_words(arguments: list[str]) -> list[list[str]]:
    """The commands of Python in a container's arguments, those within a shell's included."""
    if arguments[:2] == ["sh", "-c"]:
        return [found.split() for found in re.findall(r"python [^>;&]*", arguments[2])]
    return [arguments]


def test_commands_exist_in_the_code(objects: list[Object]) -> None:
    seen = 0
    for each in workloads(objects):
        for container in containers(each):
            probes = [container.get(name, {}) for name in ("startupProbe", "readinessProbe", "livenessProbe")]
            commands = [container["args"], *(probe["exec"]["command"] for probe in probes if "exec" in probe)]
            for words in (one for given in commands for one in _python_words(given)):
                seen += 1
                assert words[0] == "python"
                if words[1] == "-m":
                    assert importlib.util.find_spec(words[2]), words
                    assert words[3:4] != ["--only"] or words[4] in PARTS
                else:
                    assert words[1] == "manage.py"
                    assert words[2] in get_commands(), words
                    assert words[2] != "worker_health" or words[3] in ("gpu", "io")
    assert seen >= 10


def test_probes_ask_for_addresses_and_ports_that_the_service_has(objects: list[Object]) -> None:
    (web,) = pod_of(named(objects, "Deployment", "web"))["containers"]
    (port,) = web["ports"]
    assert str(port["containerPort"]) == image_environment("web")["PORT"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = web[name]["httpGet"]
        assert asked["port"] == port["name"]
        assert resolve(asked["path"]).view_name in ("health", "health-live")


def test_pods_have_longer_to_stop_than_the_service_takes(objects: list[Object]) -> None:
    defaults = {variable.name: variable.default for variable in env.VARIABLES.values()}
    for name in ("web", "worker-gpu", "worker-io"):
        pod = pod_of(named(objects, "Deployment", name))
        (container,) = pod["containers"]
        values = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
        grace = int(values.get("STOP_GRACE_SECONDS") or defaults["STOP_GRACE_SECONDS"])
        needed = grace + max(SUPERVISOR_MARGIN, STOP_MARGIN_SECONDS) + 5  # preStop of the web pods
        assert pod["terminationGracePeriodSeconds"] > needed, name


def test_images_are_targets_of_the_dockerfile(objects: list[Object]) -> None:
    from upscaler_site.conf.version import VERSION

    for each in workloads(objects):
        for container in containers(each):
            target = container["image"].removeprefix(f"upscaler:{VERSION}-")
            assert target in stages(), container["image"]


@pytest.mark.django_db
def test_kedas_query_counts_what_waits_and_may_begin_and_what_runs(make_waiting: Callable[[], Job]) -> None:
    (trigger,) = named(build(ROOT / "overlays" / "nvidia-keda"), "ScaledObject", "worker-gpu")["spec"]["triggers"]

    def counted() -> int:
        with connection.cursor() as cursor:
            cursor.execute(trigger["metadata"]["query"])
            ((number,),) = cursor.fetchall()
        assert isinstance(number, int)  # as KEDA's documentation asks for
        return number

    assert counted() == 0
    first, second, third = (make_waiting() for _ in range(3))
    assert counted() == 3
    Job.objects.filter(pk=third.pk).update(queued_at=timezone.now() + timedelta(hours=1))  # to be tried again later
    assert counted() == 2
    assert Job.objects.claim("worker") is not None
    assert counted() == 2  # one runs
    Pause.objects.begin("gpu")
    assert counted() == 1  # it still does, and none may begin
    Pause.objects.end("gpu")
    Job.objects.filter(status=Status.QUEUED).update(status=Status.CANCELLED, finished_at=timezone.now())
    assert counted() == 1
    assert {first.pk, second.pk} & set(Job.objects.filter(status=Status.PROCESSING).values_list("pk", flat=True))


@pytest.fixture
def make_waiting(db: None) -> Callable[[], Job]:
    """Writes a waiting job."""
    from tests.job_rows import waiting_job

    return waiting_job
