"""From what the roles agreed on to what the contract takes: the statement, the final error's opening, the key proof's hash."""

from __future__ import annotations

from deltaml_core import schemes
from deltaml_core.aggregator import Aggregator
from deltaml_core.chain.types import Opening, Request, Statement, modulus_hash
from deltaml_core.errors import TermsError
from deltaml_core.messages import ProposeResult
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import ciphertexts_hash

OPENED_KEY_BITS = (2048, 3072)
"""Lengths of key whose openings the contract checks."""


def check_key_length(terms: TrainingTerms) -> None:
    """See that the contract can open errors under such a key.

    Raises:
        TermsError: it cannot.
    """
    if terms.metrics != "noise" and terms.key_bits not in OPENED_KEY_BITS:
        raise TermsError(
            f"the contract opens errors under keys of {' or '.join(map(str, OPENED_KEY_BITS))} bits, not {terms.key_bits}: "
            'choose one of these, or metrics="noise", which opens none'
        )


def statement_of(request: Request, proposed: ProposeResult) -> Statement:
    """A proposed result as the contract's statement."""
    return Statement(
        request=request.id,
        round=proposed.round,
        modulus_hash=request.terms.modulus_hash,
        weights_hash=bytes.fromhex(proposed.weights_hash),
        metric_hash=bytes.fromhex(proposed.metric_hash),
        scale=proposed.scale,
        rows=proposed.rows,
        initial_mse=proposed.initial,
        final_mse=proposed.final,
        gains=proposed.gains,
        transcript_hash=bytes.fromhex(proposed.transcript_hash),
    )


def opening_of(aggregator: Aggregator, modulus: int) -> Opening | None:
    """The opening of the final error, for the contract to check; None where the metrics prove none."""
    if aggregator.opening is None:
        return None
    ciphertext, opening = aggregator.opening
    return Opening(modulus=modulus, ciphertext=ciphertext, plaintext=opening.plaintext, randomness=opening.randomness)


def proof_hash(document: RequestDocument) -> bytes:
    """What the contract's terms call the key proof's hash: Keccak-256 of the roots, each in twice the modulus's bytes."""
    return ciphertexts_hash(document.proof, schemes.public_key(document.terms.scheme, document.modulus))


def posted_document(request: Request, text: str) -> RequestDocument:
    """Read a request's document and compare its key with what the contract holds.

    Raises:
        TermsError: it is no document, or of another key.
    """
    document = RequestDocument.from_json(text)
    if (modulus_hash(document.modulus), proof_hash(document)) != (request.terms.modulus_hash, request.terms.key_proof_hash):
        raise TermsError("the posted key or its proof is not the one whose hash the contract holds")
    return document
