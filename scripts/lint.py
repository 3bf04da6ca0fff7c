"""What the lint scripts share: reading the tree, printing findings, and proving that a rule can fail."""
import re
import sys
import tempfile
from pathlib import Path
from typing import Callable, Iterable, NamedTuple

CODE = (".h", ".hpp", ".cpp", ".cu", ".cuh")


class Finding(NamedTuple):
    path: str  # relative to the root
    line: int
    text: str  # the rule that is broken, and what to do


Check = Callable[[Path], Iterable[Finding]]


def code_files(root: Path, *folders: str) -> Iterable[Path]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in CODE and path.is_file():
                yield path


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def without_comments(path: Path) -> list[str]:
    """The file's lines with comments and the contents of string literals blanked, so that prose breaks no rule."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
    text = path.read_text(encoding="utf-8", errors="replace")
    return token.sub(lambda match: "\n" * match.group().count("\n"), text).splitlines()


def main(check: Check, planted: dict[str, str], expected: set[str]) -> int:
    """Checks the tree this script lies in; with --self-test, that `planted` (path: contents, "{root}" standing for the
    tree's own folder) gives exactly `expected` ("path:line rule's first words")."""
    if sys.argv[1:] == ["--self-test"]:
        return self_test(check, planted, expected)
    if sys.argv[1:]:
        print(f"usage: {sys.argv[0]} [--self-test]", file=sys.stderr)
        return 2
    findings = sorted(set(check(Path(__file__).resolve().parent.parent)))
    for finding in findings:
        print(f"{finding.path}:{finding.line}: {finding.text}")
    print(f"{len(findings)} broken rule(s)" if findings else "no rule is broken")
    return 1 if findings else 0


def self_test(check: Check, planted: dict[str, str], expected: set[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, contents in planted.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(contents.replace("{root}", folder))
        found = {f"{finding.path}:{finding.line} {finding.text}" for finding in check(root)}
    unmatched = {text for text in found if not any(text.startswith(start) for start in expected)}
    missed = {start for start in expected if not any(text.startswith(start) for text in found)}
    for text in sorted(missed):
        print(f"not reported: {text}")
    for text in sorted(unmatched):
        print(f"reported without cause: {text}")
    print(f"{len(expected) - len(missed)} of {len(expected)} planted violations reported")
    return 1 if missed or unmatched else 0
