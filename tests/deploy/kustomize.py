"""What `kustomize build` would give, for the few features that deploy/kubernetes uses. Any other is an error.

kustomize is no package of PyPI, npm or Debian. Where kubectl is at hand, a test holds the two together.
"""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import yaml

Object = dict[str, Any]

_KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "images", "labels", "patches"}
#: Lists of objects that a strategic merge patch merges by a key (Kubernetes's API, patchMergeKey).
_MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}


def build(folder: Path) -> list[Object]:
    """Every object of a kustomization."""
    file = folder / "kustomization.yaml"
    said = yaml.safe_load(file.read_text())
    unknown = set(said) - _KNOWN
    assert not unknown, f"{file}: {unknown} is not known to these tests"
    made: list[Object] = []
    for name in said.get("resources", []):
        path = folder / name
        made += build(path) if path.is_dir() else _load(path)
    for name in said.get("components", []):
        made = _transformed(made, folder / name)
    return _changed(made, said, folder)


def _transformed(objects: list[Object], component: Path) -> list[Object]:
    said = yaml.safe_load((component / "kustomization.yaml").read_text())
    assert said["kind"] == "Component"
    assert not set(said) - _KNOWN
    return _changed(
        [*objects, *(each for name in said.get("resources", []) for each in _load(component / name))], said, component
    )


def _load(path: Path) -> list[Object]:
    # By way of JSON: anchors would make one object of several, which a patch then changes twice.
    return [json.loads(json.dumps(each)) for each in yaml.safe_load_all(path.read_text()) if each]


def _changed(objects: list[Object], said: Object, folder: Path) -> list[Object]:
    """Apply what a kustomization says beside its resources."""
    objects = copy.deepcopy(objects)
    for patch in said.get("patches", []):
        if "target" in patch:
            _operations(_one(objects, patch["target"]["kind"], patch["target"]["name"]), yaml.safe_load(patch["patch"]))
            continue
        for wanted in _load(folder / patch["path"]):
            if wanted.get("$patch") == "delete":
                objects.remove(_one(objects, wanted["kind"], wanted["metadata"]["name"]))
                continue
            _merge(_one(objects, wanted["kind"], wanted["metadata"]["name"]), wanted)
    for each in objects:
        if "namespace" in said and each["kind"] != "Namespace":
            each["metadata"]["namespace"] = said["namespace"]
        for label in said.get("labels", []):
            assert label["includeTemplates"]
            for place in _labelled(each):
                place.setdefault("labels", {}).update(label["pairs"])
        for container in containers(each):
            container["image"] = _image(container["image"], said.get("images", []))
    return objects


def _one(objects: list[Object], kind: str, name: str) -> Object:
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, f"a patch's target {kind}/{name} is there {len(found)} times"
    return found[0]


def _operations(target: Object, operations: list[Object]) -> None:
    """JSON Patch (RFC 6902), `replace` alone."""
    for operation in operations:
        assert operation["op"] == "replace"
        *way, last = [int(part) if part.isdecimal() else part for part in operation["path"].strip("/").split("/")]
        place: Any = target
        for part in way:
            place = place[part]
        place[last]  # it is there
        place[last] = operation["value"]


def _merge(target: Object, patch: Object) -> None:
    """Strategic merge: objects by their fields, some lists by a key, others as a whole; null removes."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        elif isinstance(value, list) and name in _MERGED_BY and name in target:
            key = _MERGED_BY[name]
            for item in value:
                there = next((each for each in target[name] if each[key] == item[key]), None)
                if there is None:
                    target[name].insert(0, item)  # kustomize puts the patch's first
                else:
                    _merge(there, item)
        else:
            target[name] = value


def _labelled(each: Object) -> Iterable[Object]:
    yield each["metadata"]
    if "template" in each.get("spec", {}):
        yield each["spec"]["template"]["metadata"]


def _image(name: str, images: list[Object]) -> str:
    base, _, tag = name.partition(":")
    for image in images:
        if image["name"] == base:
            return f"{image.get('newName', base)}:{image.get('newTag', tag)}"
    return name


def pod_of(each: Object) -> Object:
    """The pod's spec of a workload, or {}."""
    return cast("Object", each.get("spec", {}).get("template", {}).get("spec", {}))


def containers(each: Object) -> list[Object]:
    """Every container of a workload."""
    pod = pod_of(each)
    return [*pod.get("initContainers", []), *pod.get("containers", [])]
