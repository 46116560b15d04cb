"""Reading YAML: plain values only, and no name twice."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from showattend.data.text_files import read_text
from showattend.errors import InputError, one_line


class _UniqueKeysLoader(yaml.SafeLoader):
    """Plain values; the library's own loader would take the last of two values of one name without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        counts = Counter(key.value for key in keys)
        for key in keys:
            if counts[key.value] > 1:
                raise yaml.constructor.ConstructorError(problem=f"{key.value!r} stands in it twice", problem_mark=key.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: the file cannot be read, is too large, or is not YAML, see `parse_yaml`.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: Path) -> Any:
    """The content of a YAML text; `path` is its file's name in errors.

    Raises:
        InputError: the text is not YAML, is nested too deeply, names a thing twice, or holds other than plain values.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeysLoader)
    except RecursionError as error:
        raise InputError(f"{path} is no YAML of ours: its lists and mappings are nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path} is no YAML{place}: {error.problem or error.context}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no YAML: {one_line(error)}") from error
