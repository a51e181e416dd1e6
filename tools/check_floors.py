"""Checks the floors of ARCHITECTURE.md: a folder may include its own files and files of strictly lower floors.

Reads the table between the lines "<!-- floors -->" and "<!-- /floors -->": | folder | floor | ... |. Also checks that every folder
of src/ is in the table, that no header includes JSON (json_fwd is fine), and the limits on file length.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
text = (ROOT / "ARCHITECTURE.md").read_text()
table = text.split("<!-- floors -->")[1].split("<!-- /floors -->")[0]
floors = {m[1]: int(m[2]) for m in re.finditer(r"^\| `([\w/.]+?)/?` \| (\d+) \|", table, re.M)}

problems = []
for folder in sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir()):
    if f"src/{folder}" not in floors:
        problems.append(f"src/{folder} is not in the floor table of ARCHITECTURE.md")


def place(path):
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[:2])


for path in sorted([*(ROOT / "src").rglob("*"), *(ROOT / "apps").rglob("*")]):
    if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
        continue
    name, here = str(path.relative_to(ROOT)), place(path)
    lines = path.read_text().splitlines()
    limit = 800 if "/kernels/" in name else 500
    if len(lines) > limit:
        problems.append(f"{name} has {len(lines)} lines (limit {limit})")
    for number, line in enumerate(lines, 1):
        found = re.match(r'#include [<"]([\w./]+)[>"]', line)
        if not found:
            continue
        target = found[1]
        if path.suffix == ".h" and target == "nlohmann/json.hpp":
            problems.append(f"{name}:{number}: a header includes {target}")
        folder = "src/" + target.split("/")[0]
        if "/" in target and folder in floors and folder != here and floors[folder] >= floors.get(here, 99):
            problems.append(f"{name}:{number}: floor {floors.get(here)} includes {target} of floor {floors[folder]}")

print("\n".join(problems) if problems else f"floors: ok, {len(floors)} folders")
sys.exit(1 if problems else 0)
