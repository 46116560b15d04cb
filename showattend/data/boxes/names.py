"""The words that name COCO's categories: their names, plurals and a few synonyms."""

from collections.abc import Iterable

from showattend.vocabulary import tokenize

PLURALS = {
    "child": "children",
    "knife": "knives",
    "man": "men",
    "mouse": "mice",
    "person": "people",
    "scissors": "scissors",
    "sheep": "sheep",
    "ski": "skis",
    "skis": "skis",
    "woman": "women",
}
# From the list of Rohrbach et al. 2018 (CHAIR), words that are frequent in COCO's captions and rarely mean another category.
SYNONYMS = {
    "person": "man, woman, boy, girl, child, kid, toddler, baby, guy, lady, player, skier, snowboarder, skateboarder, surfer",
    "bicycle": "bike",
    "motorcycle": "motorbike, motor bike",
    "airplane": "plane, jet, aircraft",
    "boat": "sailboat",
    "skis": "ski",
    "sports ball": "ball",
    "cat": "kitten",
    "dog": "puppy",
    "couch": "sofa",
    "dining table": "table",
    "tv": "television",
    "cell phone": "cellphone, phone",
    "refrigerator": "fridge",
    "hot dog": "hotdog",
    "donut": "doughnut",
    "wine glass": "wineglass",
    "potted plant": "houseplant",
    "teddy bear": "stuffed bear",
}


def plural(name: str) -> str:
    """The plural of a name, whose last word takes the ending.

    >>> [plural(name) for name in ("dog", "bus", "toothbrush", "baby", "boy", "hot dog", "sheep", "person")]
    ['dogs', 'buses', 'toothbrushes', 'babies', 'boys', 'hot dogs', 'sheep', 'people']
    """
    before, space, last = name.rpartition(" ")
    if last in PLURALS:
        ending = PLURALS[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        ending = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in tuple("aeiou"):
        ending = f"{last[:-1]}ies"
    else:
        ending = f"{last}s"
    return f"{before}{space}{ending}"


def category_names(categories: Iterable[str]) -> dict[tuple[str, ...], str]:
    """The category of each name, as its words: singular, plural and synonyms; a category's own name goes before synonyms."""
    categories = list(categories)
    names_to_category: dict[tuple[str, ...], str] = {}
    for names in ({name: [name] for name in categories}, {name: SYNONYMS.get(name, "").split(", ") for name in categories}):
        for category, alternatives in names.items():
            for name in filter(None, alternatives):
                for form in (name, plural(name)):
                    names_to_category.setdefault(tuple(tokenize(form)), category)
    return names_to_category
