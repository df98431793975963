"""A campaign that is killed again and again, until it is done: nothing lost, nothing twice.

python -m tests.chaos --recipients 20000 --kills 60 --database sqlite
"""
