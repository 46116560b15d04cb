"""The plain equations of a cell's docstring as LaTeX: `i = s(a_i)` becomes i = \\sigma(a_{i})."""

import re

FUNCTIONS = {
    "s": r"\sigma",
    "tanh": r"\tanh",
    "exp": r"\exp",
    "log": r"\log",
    "max": r"\max",
    "relu": r"\mathrm{relu}",
    "where": r"\mathrm{where}",
    "sum": r"\sum",
    "mod": r"\bmod",
}
SYMBOLS = {"*": r"\odot", "<=": r"\le", ">=": r"\ge", "...": r"\dots"}
SHORT_WORDS = frozenset(("of", "in", "on", "it", "as", "at", "to", "is", "no", "if"))
TOKEN = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9]*~?(?:_[A-Za-z0-9~]+)*'?)|(?P<symbol><=|>=|\.\.\.|\*)|(?P<space>\s+)|(?P<other>.)")


def to_latex(line: str) -> str:
    """One line of plain notation as LaTeX; words of prose, and a remark in brackets at the end, become upright text."""
    formula, gap, remark = line.partition("   ")
    if gap and remark.strip().startswith("("):
        return rf"{_formula(formula)}\qquad \text{{{remark.strip()}}}"
    return _formula(line)


def _formula(line: str) -> str:
    parts: list[str] = []
    prose: list[str] = []
    tokens = list(TOKEN.finditer(line))
    for index, match in enumerate(tokens):
        text, kind = match.group(), match.lastgroup
        opens = line[match.end() : match.end() + 1] == "("
        if kind == "name" and _is_prose(text, opens):
            prose.append(text)
        elif kind == "space" and prose and index + 1 < len(tokens):
            continue
        else:
            if prose:
                parts.append(rf"\;\text{{{' '.join(prose)}}}\;")
                prose = []
            if kind == "name":
                parts.append(_name(text, opens))
            elif kind == "symbol":
                parts.append(f" {SYMBOLS[text]} ")
            else:
                parts.append(r"\quad " if kind == "space" and len(text) > 2 else text)
    if prose:
        parts.append(rf"\;\text{{{' '.join(prose)}}}")
    return "".join(parts)


def _is_prose(name: str, opens: bool) -> bool:
    """Short words that are no symbol, and words of three letters or more, unless they are functions or have a subscript."""
    return name in SHORT_WORDS or (
        len(name.rstrip("~'")) > 2 and name not in FUNCTIONS and "_" not in name and not (opens and name.isupper())
    )


def _name(name: str, opens: bool) -> str:
    if name in FUNCTIONS and (opens or len(name) > 1):
        return FUNCTIONS[name] + " "
    prime = "'" if name.endswith("'") else ""
    base, _, subscript = name.removesuffix("'").partition("_")
    symbol = rf"\tilde{{{base[:-1]}}}" if base.endswith("~") else base
    if base == "sum":
        symbol = FUNCTIONS[base]
    elif len(base.rstrip("~")) > 1:
        symbol = rf"\mathrm{{{base}}}"
    inner = subscript.replace("_", ",").replace("~", "")
    lower = f"_{{{inner}}}" if len(inner) < 3 else rf"_{{\mathrm{{{inner}}}}}"
    return symbol + (lower if subscript else "") + prime + " "
