"""`showattend configs`: the recipes that come with the package."""

import argparse

from showattend.cli.options import Commands


def add_parser(commands: Commands) -> None:
    """The options of `showattend configs`."""
    configs = commands.add_parser(
        "configs",
        help="the packaged recipes for --config",
        description="List the recipes that come with the package, each with its first line. `showattend fit --config NAME` takes one; "
        "with a NAME here, print that recipe, for a file of your own.",
    )
    configs.add_argument("name", nargs="?", metavar="NAME", help="print this recipe")
    configs.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the names of all recipes, or one recipe whole."""
    from showattend.errors import unknown_name
    from showattend.training.recipes import FOLDER, recipe_names

    if args.name:
        name = args.name.removeprefix("configs/").removesuffix(".yaml")
        if name not in recipe_names():
            raise unknown_name("recipe", name, recipe_names())
        print((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), end="")
        return 0
    for name in recipe_names():
        first = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
        print(f"{name:24}{first.lstrip('# ') if first.startswith('#') else ''}")
    return 0
