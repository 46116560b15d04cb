"""Look the pinned dependencies up among known vulnerabilities with pip-audit; without a network that is one line and no failure.

`make check` runs it. Status 1 means that a dependency has a known vulnerability.
"""

import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
SECONDS = 60
OPTIONS = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "5")


def main() -> int:
    """Print each vulnerability, or one line."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS), *OPTIONS]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        dependencies = json.loads(run.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"dependencies not audited: no answer within {SECONDS} seconds")
        return 0
    except (ValueError, KeyError):
        print(f"dependencies not audited: {(run.stderr.strip().splitlines() or ['pip-audit printed nothing'])[-1][:200]}")
        return 0
    audited = [dependency for dependency in dependencies if "vulns" in dependency]
    if not audited:
        print(f"dependencies not audited: the package index here knows none of {len(dependencies)}")
        return 0
    vulnerable = [dependency for dependency in audited if dependency["vulns"]]
    for dependency in vulnerable:
        for found in dependency["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "none yet"
            print(f"{dependency['name']} {dependency['version']}: {found['id']}, fixed in {fixed}")
    print(f"{len(audited)} of {len(dependencies)} dependencies audited, {len(vulnerable)} with a known vulnerability")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
