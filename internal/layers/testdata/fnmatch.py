#!/usr/bin/env python3
"""Record what Python's fnmatch makes of patterns.

    python3 fnmatch.py > fnmatch.json
"""
import fnmatch as f
import json

PATTERNS = ["*", "", "a", "a*", "*a", "?", "??", "*/x", "a/*", "[abc]", "[!abc]", "[a-c]*", "[c-a]", "[!c-a]", "[]]", "[!]]", "[", "[a", "[!", "[]", "a[",
            "[a-]", "[-a]", "[a-cx-z]", "[^a]", "[\\]", "\\*", ".", "a.b", "(a)", "a|b", "[[]", "[&~|]", "*.bb", "lib[0-9]?", "é*", "[é]", "**", "a*b*c", "[!-]", "a\n*"]
NAMES = ["", "a", "b", "c", "z", "-", "]", "[", "!", "^", "\\", "\\x", "*", "ab", "abc", "a/b/x", "x/a", "a.b", "axb", "(a)", "a|b", "&", "~", "|", "t.bb", "lib1x", "lib",
         "é", "éa", "a\nb", "\n", "a[", "[a", "[!", "[]", "aXbYc"]

out = [{"pattern": p, "matches": [n for n in NAMES if f.fnmatchcase(n, p)]} for p in PATTERNS]
print(json.dumps({"names": NAMES, "patterns": out}, indent=1, ensure_ascii=False))
