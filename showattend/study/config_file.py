"""A study's configuration as a file: the user's YAML, or the JSON that lies in the study's folder."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from showattend.config_checks import from_mapping
from showattend.data.json_files import read_json
from showattend.data.yaml_files import read_yaml
from showattend.errors import InputError, unknown_name
from showattend.registry import check_trusted
from showattend.study.config import KINDS, MemoryStudy, StudyConfig
from showattend.training.recipes import recipe_names


def read_config(path: Path, *, trusted: Collection[str] | None = None, **overrides: Any) -> StudyConfig:
    """Read a study's YAML file, whose `kind` is captions or memory.

    Args:
        trusted: modules, dotted paths and recipes that the file may name; None: all, for a file that the user has chosen to run
        overrides: fields to replace; None leaves the file's value

    Raises:
        InputError: it cannot be read, or an option is refused.
    """
    content = read_json(path) if path.suffix == ".json" else read_yaml(path)  # YAML 1.1 takes JSON's 1e-05 for text
    if not isinstance(content, dict) or "kind" not in content:
        raise InputError(f"{path} is no configuration of a study: give `kind: captions` or `kind: memory` in it (showattend configs)")
    kind = content.pop("kind")
    if str(kind) not in KINDS:
        raise unknown_name("kind of study", str(kind), KINDS)
    if trusted is not None:
        _check_names_of_code(content, trusted)
    data = content.get("data")
    if isinstance(data, dict) and isinstance(data.get("root"), str):
        content["data"] = {**data, "root": Path(data["root"])}
    config: StudyConfig = from_mapping(KINDS[str(kind)], content, section="study")
    given = {name: value for name, value in overrides.items() if value is not None}
    if isinstance(config, MemoryStudy) and (given.keys() & {"root", "tracks", "trials"}):
        raise InputError("the memory probe has no photos, no tracks and no random search: leave out --data.root, --tracks and --trials")
    if "root" in given:
        given["data"] = replace(config.data, root=given.pop("root"))  # type: ignore[union-attr]
    return replace(config, **given)


def _check_names_of_code(content: Mapping[str, Any], trusted: Collection[str]) -> None:
    """Refuse a stored configuration that names code by dotted paths which are not trusted, or a recipe that is not the package's."""
    for name in ("cells", "references"):
        for cell in content[name] if isinstance(content.get(name), list) else []:
            check_trusted("cell", str(cell), trusted)
    for section, name in (("encoder", "name"), ("decoder", "attention"), ("decoder", "cell"), ("data", "layout")):
        if isinstance(part := content.get(section), dict) and name in part:
            check_trusted(name, str(part[name]), trusted)
    if content.get("encoder_recipe") not in (None, *recipe_names(), *trusted):
        raise InputError(f"the stored study trains the recipe {content['encoder_recipe']}: give its --config, if you trust both")


def plain_config(config: StudyConfig) -> dict[str, Any]:
    """A configuration as JSON holds it."""
    kind = next(name for name, cls in KINDS.items() if isinstance(config, cls))
    content: dict[str, Any] = json.loads(json.dumps({"kind": kind, **asdict(config)}, default=str))
    return content
