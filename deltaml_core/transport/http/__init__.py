"""Messages over HTTP: the aggregator serves, everybody else connects to it and needs no open port.

    sign_in    who calls: a text in the form of EIP-4361, signed by the wallet, for a short-lived token
    bodies     what a caller sends, bounded in length, time and expansion
    relay      messages from one participant to another, written to the aggregator's store on the way
    app        the routes and their faults
    protocol   connections that dawdle are cut
    server     the thread that serves
    client     what an owner or a buyer sends and receives through

Limits are constants beside what they bound.
"""
