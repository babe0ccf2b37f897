"""Parses the PowerShell scripts that are given, and prints where one is broken."""

import sys

import tree_sitter
import tree_sitter_powershell

parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


def broken(node):
    """The places below a node that the grammar does not know."""
    if node.type == "ERROR" or node.is_missing:
        yield node
    elif node.has_error:
        for child in node.children:
            yield from broken(child)


failed = False
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        tree = parser.parse(file.read())
    for node in broken(tree.root_node):
        print(f"{name}:{node.start_point[0] + 1}: {node.type} {node.text[:40]!r}")
        failed = True
sys.exit(failed)
