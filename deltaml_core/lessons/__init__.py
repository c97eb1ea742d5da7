"""What the walkthrough's chapters (`notebooks/00_walkthrough/`) show: a file a subject, each a widget or a computation of its own.

Nothing else imports it. What a chapter computes it computes with the library itself; what is written here anew (a Paillier with a key
of twelve bits, a CKKS with sixteen slots) is small enough to read, says that it protects nothing, and is tested like the rest.
"""
