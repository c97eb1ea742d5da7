"""Messages over NATS JetStream: a broker keeps them while either side is away. Everybody connects to it and needs no open port.

    naming         subjects, streams, and what a participant may do, from `permissions.json`
    keys           the broker's accounts, and passes into them: signed by keys that follow from the aggregator's wallet
    configuration  what the aggregator's nats-server is told, from `server.conf.template`
    background     the thread whose event loop holds the connections
    connection     one connection, over TLS where it should be
    client         what an owner or a buyer sends and receives through
    inbox          what was delivered to one and is not acknowledged
    bridge         the aggregator's side: between the broker and its store
    session        one connection's life there
    process        a nats-server on this machine

The broker sees what the relay sees: signed messages, of ciphertexts and openings. It cannot change one. Participants sign in with their
wallets at the aggregator's HTTP server (`transport/http/sign_in.py`), which vouches for an nkey that each makes for its connection.
"""
