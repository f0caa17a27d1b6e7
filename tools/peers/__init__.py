"""Compares other libraries (peers) with jaxpool, operator by operator.

cases/       the calls to compare, per operator, in jaxpool's terms
libraries/   one peer per file: adapters for its functions, and a list of its public names
search.py    finds a peer's poolings by name, and checks that the list is complete
judge.py     decides whether a peer has, lacks or differs in an operator
check.py     writes one record per peer
table.py     renders the table and the page of differences from the records
"""
