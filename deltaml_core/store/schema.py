"""The tables of a node's store. `migrations/` brings an older store to this form; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", JSON, nullable=False),
    comment="What there is one of: whose store it is, how far the chain was read, the last error.",
)

lease = Table(
    "lease",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("holder", String, nullable=False),
    Column("host", String, nullable=False),
    Column("process", Integer, nullable=False),
    Column("started", Float, nullable=False, comment="when that process began, Unix seconds"),
    Column("expires", Float, nullable=False, comment="Unix seconds"),
    comment="One row: who runs this identity now.",
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True, comment="the contract's number"),
    Column("status", String, nullable=False, comment="the contract's, as it was last read"),
    Column(
        "seat", String, comment="this participant's part in it: buyer, aggregator, trainer, validator, refused; none before roles are dealt"
    ),
    Column("nonce", LargeBinary, comment="32 bytes that this seat's randomness follows from, together with the wallet's key"),
    Column("dataset", String, comment="digest of the rows it was accepted with"),
    Column("salt", LargeBinary, comment="of the commitment on chain"),
    Column("answer", String, comment="what this participant's owner decided by hand: yes, no"),
    Column("note", Text, comment="what a person should know: why it does not match, what went wrong"),
    Column("ended", Boolean, nullable=False, server_default="0", comment="whether nothing is left to do"),
    Column("known_releases", Integer, nullable=False, server_default="0", comment="errors of its rows opened at weights the buyer knows"),
    Column("total_releases", Integer, nullable=False, server_default="0", comment="errors of its rows opened in all"),
    Column("matches", JSON, comment="by digest of a data set, why it does not serve the request; null where it does"),
    comment="Training requests that concern this participant.",
)

messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the canonical bytes"),
    Column("request", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the signed message as it travels"),
    Column("kept", Float, nullable=False, comment="when it was written, Unix seconds"),
    Column("taken", Boolean, nullable=False, comment="whether the recipient has it"),
    Column("fault", Text, comment="why its recipient here refused it"),
    Index("messages_waiting", "recipient", "taken", "number"),
    Index("messages_of_request", "request", "number"),
    sqlite_autoincrement=True,
    comment="Every message sent or received here; at an aggregator, also those it passes on. Never deleted.",
)

transactions = Table(
    "transactions",
    metadata,
    Column("purpose", String, primary_key=True, comment="what it is for; at most one transaction each"),
    Column("nonce", Integer, nullable=False),
    Column("raw", LargeBinary, nullable=False, comment="signed, as it is sent"),
    Column("hash", String, nullable=False),
    Column("block", Integer, comment="where it was mined, as far as is known"),
    comment="Written before they are sent, so that none is ever signed twice.",
)

orders = Table(
    "orders",
    metadata,
    Column("purpose", String, primary_key=True, comment="what it is for; served once"),
    Column("action", String, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("state", String, nullable=False, comment="waiting, done, refused"),
    Column("note", Text, comment="what came of it, or why it still waits, for a person"),
    Column("transaction", String, comment="hash of the transaction that did it"),
    Column("placed", Float, nullable=False, comment="Unix seconds"),
    Column("changed", Float, nullable=False, comment="Unix seconds"),
    comment="What a person asked of this node from elsewhere.",
)

datasets = Table(
    "datasets",
    metadata,
    Column("digest", String, primary_key=True, comment="of the rows, hexadecimal"),
    Column("path", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("columns", JSON, nullable=False, comment="name, lowest and highest value of each"),
    comment="Cards of this owner's data sets. No rows.",
)

privacy = Table(
    "privacy",
    metadata,
    Column("request", Integer, primary_key=True, comment="the contract's number"),
    Column("dataset", String, nullable=False, comment="digest of the rows it was accepted with"),
    Column("question", String, nullable=False, comment="digest of what was asked of them, and how privately"),
    Column("epsilon", Float, nullable=False, comment="as it was shown at acceptance"),
    Column("delta", Float, nullable=False),
    Column("scale", Float, nullable=False, comment="of the noise, as a multiple of what one row can change"),
    Column("release", Text, nullable=False, comment="the noisy statistics"),
    Column("noted", Float, nullable=False, comment="Unix seconds"),
    comment="Acceptances with differential privacy: noise drawn once, and what it has cost.",
)

keys = Table(
    "keys",
    metadata,
    Column("purpose", String, primary_key=True),
    Column("path", String, nullable=False, comment="within the node's home"),
    comment="Where encrypted keys are kept.",
)

peers = Table(
    "peers",
    metadata,
    Column("address", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("url", String, nullable=False),
    Column("seen", Float, nullable=False, comment="Unix seconds"),
    comment="Whom this node has dealt with: an aggregator's owners and buyers, an owner's aggregators.",
)
