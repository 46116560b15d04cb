"""Names of exchangeable parts: a registered name, or the dotted path of a class of one's own, `my_package.module:MyClass`."""

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from showattend.errors import InputError, find_by_name, one_line, unknown_name

T = TypeVar("T")
DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class Registry(Generic[T]):
    """The classes of one kind of part by their names.

    Args:
        kind: what the parts are called in messages, such as `cell`
        base: what all of them derive from
    """

    def __init__(self, kind: str, base: type[T]) -> None:
        self.kind = kind
        self.base = base
        self.entries: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: enter a class under a name.

        Raises:
            ValueError: the name is taken.
        """

        def enter(entry: type[T]) -> type[T]:
            if name in self.entries:
                raise ValueError(f"the {self.kind} name {name!r} is taken by {self.entries[name].__name__}")
            self.entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        """The registered names, sorted."""
        return sorted(self.entries)

    def find(self, name: str, *, trusted: Collection[str] | None = None) -> type[T]:
        """The class that a name or a dotted path stands for.

        Args:
            trusted: None: the user has typed the name. For a name out of a file, the modules and dotted paths that may be imported

        Raises:
            InputError: no such name, a path that is not trusted, or a path that leads to no class of this kind.
        """
        if ":" in name:
            check_trusted(self.kind, name, trusted)
            return self._import(name)
        return find_by_name(self.kind, name, self.entries)

    def option_names(self, entry: type[T]) -> list[str]:
        """The options of a class: keyword arguments of its constructor and of those that it hands the rest to."""
        constructors = [vars(base)["__init__"] for base in entry.__mro__ if issubclass(base, self.base) and "__init__" in vars(base)]
        arguments = [argument for constructor in constructors for argument in inspect.signature(constructor).parameters.values()]
        return sorted({argument.name for argument in arguments if argument.kind is argument.KEYWORD_ONLY})

    def check_options(self, name: str, options: Mapping[str, Any]) -> None:
        """Refuse what the constructor of `name` does not take.

        Raises:
            InputError: an unknown name, or an unknown option.
        """
        known = self.option_names(self.find(name))
        for option in options:
            if option not in known:
                raise unknown_name(f"option of the {self.kind} '{name}'", option, known)

    @contextmanager
    def refused_options(self, name: str, options: Mapping[str, Any]) -> Iterator[None]:
        """Around a constructor: word what it raises at a value that is not of the type it needs.

        Raises:
            InputError: the constructor raised a TypeError or a ValueError, and was given options.
        """
        try:
            yield
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            if not options:
                raise
            raise InputError(f"the {self.kind} '{name}' refuses a value of its options {dict(options)}: {one_line(error)}") from error

    def _import(self, path: str) -> type[T]:
        if not DOTTED_PATH.fullmatch(path):
            raise InputError(f"'{path}' is no dotted path of a {self.kind}: write it as my_package.module:MyClass")
        module, _, attribute = path.partition(":")
        # The console command, unlike `python -m`, does not find modules of the working folder; at the end, so that they hide none.
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            entry = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError(f"cannot import the {self.kind} '{path}': {error}") from error
        if not (isinstance(entry, type) and issubclass(entry, self.base)):
            raise InputError(f"'{path}' is no {self.base.__name__}: derive it from {self.base.__module__}.{self.base.__name__}")
        return entry


def check_trusted(kind: str, name: str, trusted: Collection[str] | None) -> None:
    """Refuse a dotted path out of a file unless its module, or the path itself, is trusted; see `Registry.find`.

    Raises:
        InputError: it is not.
    """
    module = name.partition(":")[0]
    if trusted is not None and ":" in name and not {name, module} & set(trusted):
        raise InputError(
            f"the {kind} '{name}' is code outside showattend, and the name comes from a file: "
            f"allow it with --trust {module or 'MODULE'} (trust= in Python) if you know where it is from"
        )
