"""Walks what people read and checks that it can be typed, clicked and found.

    problems(root / "README.md", root)

Every command of a shell block exists and takes the options that it is given; so does every command
and option that prose names as code; every relative link, its anchor and every path of the tree
resolves; every import of a Python block exists. Read as text are Markdown, the strings of Python
sources and of Qt's forms, and the comments of nginx's example.
"""

from documents.walker import Problem, documents, problems

__all__ = ["Problem", "documents", "problems"]
