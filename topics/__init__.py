"""The contracts: what travels between processors, and nothing else.

Each module holds the messages of one topic. :mod:`topics.catalog` lists every topic once; :mod:`topics.codec` turns
bytes into messages and back. Nothing here imports the processors.
"""
