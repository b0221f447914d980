"""How bytes are read and written safely: whole or not at all,
and nothing that a file claims is believed.
"""
