"""How other libraries answer where jaxpool has an operator: checked, recorded, tabulated.

cases/       what is asked of each operator, in jaxpool's own terms
libraries/   one peer a file: how it is asked, and what of its public names is what
search.py    the peer's pools by name, each accounted for
judge.py     has, differs or lacks
check.py     one record a peer
table.py     the table and the page of differences, from the records
"""
