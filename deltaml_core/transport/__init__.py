"""How messages travel, one way a file or folder; every transport carries the same bytes.

    local   a mail room in memory, for one process
    http    a relay at the aggregator, to which everybody else connects

`base` states what they all promise.
"""
