"""Campaigns that are killed again and again, until they are done: nothing lost, nothing twice.

python -m tests.chaos --recipients 20000 --kills 60 --database sqlite
python -m tests.chaos --kind everything --recipients 600 --kills 8 --processes 3
"""
