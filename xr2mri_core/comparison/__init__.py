"""The paper's section of results by one command: methods trained alike, measured, reported.

`run.compare` does it all: `training` (equal budgets), `measure` (a row a method and case),
`experiments` (the paper's figures and tables), `statistics`, `figures`, `report` (one HTML file).
"""
