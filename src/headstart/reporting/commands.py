"""Commands that a report recommends: the recipe of a RUN as somebody would type it, with something changed."""

import shlex
from dataclasses import fields, replace
from typing import Any

from headstart.errors import RecipeError
from headstart.recipe import Recipe

_SAID_OTHERWISE = {"from_run": "from"}
_NOT_SAID = ("data", "out")


def train_command(recipe: Recipe) -> str:
    """The command that trains by a recipe: what is as usual is left out."""
    parts = ["headstart", "train", shlex.quote(recipe.data)]
    if recipe.out is not None:
        parts += ["--out", shlex.quote(recipe.out)]
    usual = Recipe(recipe.data)
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name in _NOT_SAID or value == getattr(usual, field.name):
            continue
        name = _SAID_OTHERWISE.get(field.name, field.name).replace("_", "-")
        if field.name == "backbone" and "," in value:
            name = "ensemble"
        parts.append(f"--{name}")
        if value is not True:
            parts.append(shlex.quote(f"{value:g}" if isinstance(value, float) else str(value)))
    return " ".join(parts)


def changed_command(recipe: Recipe, **changes: Any) -> str | None:
    """The command that trains by a recipe with something changed, into a folder beside; None where that cannot be."""
    try:
        other = replace(recipe, out=f"{(recipe.out or 'run').rstrip('/')}-next", **changes)
    except RecipeError:
        return None
    return None if other.problems() else train_command(other)


def audit_command(recipe: Recipe) -> str:
    """The command that looks at the data of a recipe, split as it was."""
    parts = ["headstart", "audit", shlex.quote(recipe.data), "--out", "look"]
    for name in ("labels", "label_pattern", "group_by", "val", "test", "seed"):
        value = getattr(recipe, name)
        if value is not None and value != getattr(Recipe, name):
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            parts += [f"--{name.replace('_', '-')}", shlex.quote(shown)]
    return " ".join(parts)
